//! Which way a type is written: decided once per column, kept in the relation's plan.

use core::ffi::c_char;

use pgrx::pg_sys::{self, Oid, PgOid};

use super::lookup::{self, function, input_of, is_foreign, needs_names, output_of, text_type};
use crate::error::Error;
use crate::pg::local::Local;

/// How values of one type become JSON.
pub enum Codec {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    /// text, varchar, bpchar and xml: the stored bytes are the text.
    Text,
    Name,
    /// `"char"`, which prints bytes that are no character of the database's encoding before 16.
    Char,
    Uuid,
    Bytea,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Money,
    /// Output function: one interval has a text that its input refuses.
    Interval(*mut pg_sys::FmgrInfo),
    /// tsquery, whose text does not say how it is stored.
    Query {
        output: *mut pg_sys::FmgrInfo,
        input: *mut pg_sys::FmgrInfo,
    },
    /// inet, or cidr where `is_network`: an output function for what is not IPv4.
    Address {
        output: *mut pg_sys::FmgrInfo,
        is_network: bool,
    },
    Json,
    Jsonb,
    Array(Box<ArrayCodec>),
    Composite(Box<CompositeCodec>),
    /// The output function of a built-in type; its text depends on pinned settings at most.
    Output(*mut pg_sys::FmgrInfo),
    /// An output function that looks names up or prints money: it needs search_path and lc_monetary pinned as well.
    Named(*mut pg_sys::FmgrInfo),
    /// An output function that is not PostgreSQL's own: it may raise anything.
    Foreign(Oid),
    /// A type whose input and receive functions always raise, because its readers trust its bytes: written as the codec
    /// inside says, and never restored.
    Opaque(Box<Codec>),
}

/// A type with its codec, its element's storage and its array output for shapes that JSON arrays cannot hold.
pub struct ArrayCodec {
    pub element: Codec,
    pub element_type: Oid,
    pub length: i16,
    pub by_value: bool,
    pub alignment: c_char,
    /// Whether elements stand in a JSON array. Not where a JSON null among them could not be told from SQL's.
    pub native: bool,
    /// The array's own text, in which elements stand as those of type `text_type`, which is stored alike.
    pub text: Codec,
    pub text_type: Oid,
}

pub struct CompositeCodec {
    /// A copy that lives as long as the plan.
    pub descriptor: pg_sys::TupleDesc,
    /// The relation that pg_class keeps of the type.
    relation: Oid,
    /// In jsonb's key order: attribute index, name, codec.
    pub fields: Vec<(usize, Vec<u8>, Codec)>,
    /// Whether its only attribute has the marker's name, so that it has to be told from a marker.
    pub marked: bool,
}

impl Codec {
    /// Decides for a type. What the codec keeps is allocated in `context`.
    pub fn of(type_id: Oid, context: pg_sys::MemoryContext) -> Codec {
        let _part = Part::enter(type_id);
        // SAFETY: a plain catalog lookup; an unknown type is an ERROR that pgrx's guard carries.
        let base = unsafe { pg_sys::getBaseType(type_id) };
        match PgOid::from(base) {
            PgOid::BuiltIn(built_in) => {
                use pg_sys::BuiltinOid::*;
                match built_in {
                    BOOLOID => Codec::Bool,
                    INT2OID => Codec::Int2,
                    INT4OID => Codec::Int4,
                    INT8OID => Codec::Int8,
                    FLOAT4OID => Codec::Float4,
                    FLOAT8OID => Codec::Float8,
                    NUMERICOID => Codec::Numeric,
                    TEXTOID | VARCHAROID | BPCHAROID | XMLOID => Codec::Text,
                    NAMEOID => Codec::Name,
                    CHAROID => Codec::Char,
                    UUIDOID => Codec::Uuid,
                    BYTEAOID => Codec::Bytea,
                    PG_NODE_TREEOID => Codec::Opaque(Box::new(Codec::Text)),
                    PG_NDISTINCTOID
                    | PG_DEPENDENCIESOID
                    | PG_MCV_LISTOID
                    | PG_BRIN_BLOOM_SUMMARYOID
                    | PG_BRIN_MINMAX_MULTI_SUMMARYOID
                    | GTSVECTOROID => Codec::Opaque(Box::new(Codec::Bytea)),
                    DATEOID => Codec::Date,
                    TIMEOID => Codec::Time,
                    TIMETZOID => Codec::TimeTz,
                    TIMESTAMPOID => Codec::Timestamp,
                    TIMESTAMPTZOID => Codec::TimestampTz,
                    MONEYOID => Codec::Money,
                    INTERVALOID => Codec::Interval(output_of(base, context)),
                    TSQUERYOID => Codec::Query { output: output_of(base, context), input: input_of(base, context) },
                    INETOID => Codec::Address { output: output_of(base, context), is_network: false },
                    CIDROID => Codec::Address { output: output_of(base, context), is_network: true },
                    JSONOID => Codec::Json,
                    JSONBOID => Codec::Jsonb,
                    // These two are ambiguous by name alone; their signatures are not.
                    REGPROCOID => Codec::Named(output_of(REGPROCEDUREOID.into(), context)),
                    REGOPEROID => Codec::Named(output_of(REGOPERATOROID.into(), context)),
                    REGPROCEDUREOID | REGOPERATOROID | REGCLASSOID | REGTYPEOID | REGCONFIGOID | REGDICTIONARYOID
                    | REGNAMESPACEOID | REGROLEOID | REGCOLLATIONOID => Codec::Named(output_of(base, context)),
                    _ => Codec::structured(base, context),
                }
            }
            _ => Codec::structured(base, context),
        }
    }

    /// Arrays and composites by their parts, anything else by its output function.
    fn structured(base: Oid, context: pg_sys::MemoryContext) -> Codec {
        lookup::check_depth();
        // SAFETY: catalog lookups of an existing type.
        let element = unsafe { pg_sys::get_element_type(base) };
        if element != Oid::INVALID {
            return Codec::array(base, element, context);
        }
        // SAFETY: as above.
        if unsafe { pg_sys::type_is_rowtype(base) } && base != pg_sys::RECORDOID {
            return Codec::composite(base, context);
        }
        Codec::text(base, context)
    }

    fn array(base: Oid, element_type: Oid, context: pg_sys::MemoryContext) -> Codec {
        let text = Codec::text(base, context);
        let text_type = text_type(element_type);
        let element = Codec::of(element_type, context);
        let (mut length, mut by_value, mut alignment) = (0, false, 0);
        // SAFETY: the out-pointers are valid for the call.
        unsafe { pg_sys::get_typlenbyvalalign(element_type, &mut length, &mut by_value, &mut alignment) };
        let native = !matches!(element, Codec::Json | Codec::Jsonb | Codec::Foreign(_));
        Codec::Array(Box::new(ArrayCodec {
            element,
            element_type,
            length,
            by_value,
            alignment,
            native,
            text,
            text_type,
        }))
    }

    fn composite(base: Oid, context: pg_sys::MemoryContext) -> Codec {
        // SAFETY: `base` is a row type; the copy is allocated in the plan's context and the lookup released.
        let descriptor = unsafe {
            let found = pg_sys::lookup_rowtype_tupdesc(base, -1);
            let previous = pg_sys::MemoryContextSwitchTo(context);
            let copy = pg_sys::CreateTupleDescCopy(found);
            pg_sys::MemoryContextSwitchTo(previous);
            crate::pg::relation::release_descriptor(found);
            copy
        };
        let mut fields: Vec<(usize, Vec<u8>, Codec)> = crate::pg::relation::attributes(descriptor)
            .filter(|attribute| !attribute.dropped)
            .map(|attribute| (attribute.index, attribute.name, Codec::of(attribute.type_id, context)))
            .collect();
        let marked = fields.len() == 1 && fields[0].1 == super::marker::KEY;
        fields.sort_by(|one, other| audit_model::key_order(&one.1, &other.1));
        // SAFETY: a catalog lookup.
        let relation = unsafe { pg_sys::get_typ_typrelid(base) };
        Codec::Composite(Box::new(CompositeCodec { descriptor, relation, fields, marked }))
    }

    /// The type's own text.
    fn text(base: Oid, context: pg_sys::MemoryContext) -> Codec {
        let (mut output, mut variable) = (Oid::INVALID, false);
        // SAFETY: the out-pointers are valid for the call.
        unsafe { pg_sys::getTypeOutputInfo(base, &mut output, &mut variable) };
        if is_foreign(base) {
            return Codec::Foreign(output);
        }
        let info = function(output, context);
        if needs_names(base) { Codec::Named(info) } else { Codec::Output(info) }
    }

    /// Whether encoding this type may call code that is not PostgreSQL's own.
    pub fn calls_foreign_code(&self) -> bool {
        match self {
            Codec::Foreign(_) => true,
            Codec::Array(array) => array.element.calls_foreign_code() || array.text.calls_foreign_code(),
            Codec::Composite(composite) => composite.fields.iter().any(|(_, _, codec)| codec.calls_foreign_code()),
            _ => false,
        }
    }

    /// Whether the text of this type depends on settings such as DateStyle, which then have to be pinned.
    pub fn depends_on_settings(&self) -> bool {
        match self {
            Codec::Output(_) | Codec::Named(_) | Codec::Foreign(_) | Codec::Interval(_) | Codec::Array(_) => true,
            Codec::Composite(composite) => composite.fields.iter().any(|(_, _, codec)| codec.depends_on_settings()),
            _ => false,
        }
    }

    /// Adds the relations behind the row types that the codec holds copies of, which ALTER TYPE can change.
    pub fn row_types(&self, relations: &mut Vec<Oid>) {
        match self {
            Codec::Composite(composite) => {
                relations.push(composite.relation);
                composite.fields.iter().for_each(|(_, _, codec)| codec.row_types(relations));
            }
            Codec::Array(array) => array.element.row_types(relations),
            _ => {}
        }
    }
}

/// The types inside one that a codec is being made for, itself among them. Thirty types that contain each other twice
/// would otherwise take all memory there is.
struct Part;

static DEPTH: Local<u32> = Local::new(0);
static PARTS: Local<u32> = Local::new(0);
/// Far more than any type that people make has.
const MOST_PARTS: u32 = 20_000;

impl Part {
    fn enter(type_id: Oid) -> Part {
        let parts = if DEPTH.get() == 0 { 1 } else { PARTS.get() + 1 };
        PARTS.set(parts);
        DEPTH.set(DEPTH.get() + 1);
        let part = Part;
        if parts > MOST_PARTS {
            // SAFETY: format_type_be returns a NUL-terminated text for every OID.
            let name = unsafe { core::ffi::CStr::from_ptr(pg_sys::format_type_be(type_id)) };
            Error::TooComplex { type_name: name.to_string_lossy().into_owned() }.raise();
        }
        part
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
