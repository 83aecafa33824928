//! What a value that is being restored has to be: its declared type with length and constraints, down to elements and
//! attributes. The codec beside it says how it is written.
//!
//! Input functions get no type modifier: an assignment rounds, cuts or pads where it can, and a restored value is never
//! changed silently. Instead the type's length coercion is applied to the finished value, which has to leave it as it
//! is. Input functions get the base type in place of a domain, and the constraints are checked at the end, when the
//! settings that text depends on are the session's again: a constraint may call any function of its owner.

use pgrx::pg_sys::{self, Datum, Oid};

use super::super::codec::Codec;
use super::super::lookup;
use super::constraint::{Coercion, Domain};
use super::{Problem, array, composite, text};

/// What a value is restored for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A row: the value is to be exactly the one that was there, and all that its type demands.
    Row,
    /// A key that a person typed: read as leniently as an assignment reads it, and without running a constraint, which
    /// is code of the table's owner.
    Key,
}

/// A declared type.
pub struct Target {
    /// The type, or what it is made of where it is a domain.
    pub base: Oid,
    /// The modifier of the base type, -1 for none.
    modifier: i32,
    purpose: Purpose,
    input: Input,
    coercion: Option<Coercion>,
    domain: Option<Domain>,
    /// A type here or in a part that only the server makes values of.
    opaque: Option<Oid>,
    /// The element of an array; the attributes of a composite in the order of its codec's fields.
    pub parts: Vec<Target>,
    /// Whether every value of the base type will do, here and in all parts.
    is_free: bool,
}

/// The function that reads the type's text.
struct Input {
    function: *mut pg_sys::FmgrInfo,
    parameter: Oid,
    /// The output function, where that one applies modifiers of types inside, and may so change what it reads.
    output: Option<Oid>,
}

impl Target {
    /// A type with a modifier. What it keeps is allocated in `context`, which must outlive it.
    pub fn of(
        codec: &Codec,
        declared: Oid,
        mut modifier: i32,
        purpose: Purpose,
        context: pg_sys::MemoryContext,
    ) -> Target {
        lookup::check_depth();
        // SAFETY: a catalog lookup of an existing type; a domain, which takes no modifier, brings its own.
        let base = unsafe { pg_sys::getBaseTypeAndTypmod(declared, &mut modifier) };
        let part = |codec, declared, modifier| Target::of(codec, declared, modifier, purpose, context);
        let parts: Vec<Target> = match codec {
            Codec::Array(array) => vec![part(&array.element, array.element_type, modifier)],
            Codec::Composite(composite) => composite
                .fields
                .iter()
                .map(|(index, _, field)| {
                    // SAFETY: the index is one of the descriptor's attributes.
                    let attribute = unsafe { &*crate::pg::version::attribute(composite.descriptor, *index) };
                    part(field, attribute.atttypid, attribute.atttypmod)
                })
                .collect(),
            _ => Vec::new(),
        };
        let opaque = match codec {
            Codec::Opaque(_) => Some(base),
            _ => parts.iter().find_map(|part| part.opaque),
        };
        let coercion = if parts.is_empty() && modifier >= 0 { Coercion::of(base, context) } else { None };
        let domain = (base != declared && purpose == Purpose::Row).then(|| Domain::new(declared, context));
        Target {
            base,
            modifier,
            purpose,
            input: Input::of(codec, base, context),
            is_free: coercion.is_none() && domain.is_none() && parts.iter().all(|part| part.is_free),
            coercion,
            domain,
            opaque,
            parts,
        }
    }

    pub fn is_for_key(&self) -> bool {
        self.purpose == Purpose::Key
    }

    /// Whether it is int2vector or oidvector, whose readers know one shape of array only.
    pub fn is_vector(&self) -> bool {
        self.base == pg_sys::INT2VECTOROID || self.base == pg_sys::OIDVECTOROID
    }

    /// Whether [`Target::verify`] has nothing to verify.
    pub fn is_free(&self) -> bool {
        self.is_free
    }

    /// Whether text of the type, or of one inside it, is read by settings.
    pub fn depends_on_settings(&self, codec: &Codec) -> bool {
        codec.depends_on_settings()
            || self.base == pg_sys::XMLOID
            || self.base == pg_sys::MONEYOID
            || match codec {
                Codec::Composite(composite) => composite
                    .fields
                    .iter()
                    .zip(&self.parts)
                    .any(|((_, _, field), part)| part.depends_on_settings(field)),
                _ => false,
            }
    }

    /// Whether it is xml or has xml in it.
    pub fn has_xml(&self) -> bool {
        self.base == pg_sys::XMLOID || self.parts.iter().any(Target::has_xml)
    }

    /// The value whose text this is, by the input function of its type.
    pub fn read(&self, text: &[u8]) -> Result<Datum, Problem> {
        if let Some(opaque) = self.opaque {
            return Err(Problem::Opaque(text::type_name(opaque)));
        }
        let modifier = if self.is_for_key() { self.modifier } else { -1 };
        // SAFETY: the function is the input function of the type.
        let value = unsafe { text::input(self.input.function, self.input.parameter, modifier, text)? };
        match self.input.output {
            // SAFETY: the function is the output function of the type that was read.
            Some(output) if !self.is_for_key() && unsafe { text::output(output, value) } != text => {
                Err(Problem::Misfit(text::type_name(self.base)))
            }
            _ => Ok(value),
        }
    }

    /// The value as an assignment leaves it, for a key; unaltered for a row.
    pub fn settled(&self, value: Datum) -> Datum {
        match &self.coercion {
            Some(coercion) if self.is_for_key() => coercion.call(value, self.modifier),
            _ => value,
        }
    }

    /// Refuses a value that its type, a type inside it or a constraint of either does not allow; `None` is NULL.
    pub fn verify(&self, codec: &Codec, value: Option<Datum>) -> Result<(), Problem> {
        if self.is_free {
            return Ok(());
        }
        if let Some(value) = value {
            match (codec, &self.parts[..]) {
                (Codec::Array(codec), [element]) if !element.is_free => array::verify(codec, element, value)?,
                (Codec::Composite(codec), attributes) => composite::verify(codec, attributes, value)?,
                _ => self.fits(value)?,
            }
        }
        if let Some(domain) = &self.domain {
            domain.check(value);
        }
        Ok(())
    }

    fn fits(&self, value: Datum) -> Result<(), Problem> {
        match &self.coercion {
            Some(coercion) if !coercion.leaves(value, self.modifier) => {
                Err(Problem::Misfit(text::type_name_with(self.base, self.modifier)))
            }
            _ => Ok(()),
        }
    }
}

impl Input {
    fn of(codec: &Codec, base: Oid, context: pg_sys::MemoryContext) -> Input {
        let (mut function, mut parameter) = (Oid::INVALID, Oid::INVALID);
        // SAFETY: catalog lookups of existing types.
        unsafe { pg_sys::getTypeInputInfo(written_as(base), &mut function, &mut parameter) };
        let mut read = base;
        if let Codec::Array(array) = codec
            && function == Oid::from(pg_sys::F_ARRAY_IN)
        {
            // SAFETY: as above.
            read = unsafe { pg_sys::getBaseType(array.element_type) };
            parameter = written_as(read);
        }
        let output = lookup::applies_modifiers(read).then(|| {
            let (mut output, mut is_variable) = (Oid::INVALID, false);
            // SAFETY: as above.
            unsafe { pg_sys::getTypeOutputInfo(base, &mut output, &mut is_variable) };
            output
        });
        Input { function: lookup::function(function, context), parameter, output }
    }
}

/// The type whose text the encoder writes, which is another one where a type's own text is ambiguous. It is stored
/// alike.
fn written_as(base: Oid) -> Oid {
    match base {
        pg_sys::REGPROCOID => pg_sys::REGPROCEDUREOID,
        pg_sys::REGOPEROID => pg_sys::REGOPERATOROID,
        _ => base,
    }
}
