//! What the catalogs say about a type and its functions. Cold: asked when a plan is made.

use pgrx::pg_sys::{self, Oid};

use crate::pg::relation;

/// The lookup information of a type's output function.
pub fn output_of(type_id: Oid, context: pg_sys::MemoryContext) -> *mut pg_sys::FmgrInfo {
    let (mut output, mut variable) = (Oid::INVALID, false);
    // SAFETY: the out-pointers are valid for the call.
    unsafe { pg_sys::getTypeOutputInfo(type_id, &mut output, &mut variable) };
    function(output, context)
}

/// The lookup information of a type's input function.
pub fn input_of(type_id: Oid, context: pg_sys::MemoryContext) -> *mut pg_sys::FmgrInfo {
    let (mut input, mut parameter) = (Oid::INVALID, Oid::INVALID);
    // SAFETY: the out-pointers are valid for the call.
    unsafe { pg_sys::getTypeInputInfo(type_id, &mut input, &mut parameter) };
    function(input, context)
}

/// The type as which an element stands in the text of an array: one that is stored alike and reads back.
///
/// xml would lose its declaration, a routine its signature; a domain would check constraints when read.
pub fn text_type(element_type: Oid) -> Oid {
    // SAFETY: a catalog lookup of an existing type.
    match unsafe { pg_sys::getBaseType(element_type) } {
        pg_sys::XMLOID => pg_sys::TEXTOID,
        pg_sys::REGPROCOID => pg_sys::REGPROCEDUREOID,
        pg_sys::REGOPEROID => pg_sys::REGOPERATOROID,
        base => base,
    }
}

/// The lookup information of a function, kept in `context`.
pub fn function(function_id: Oid, context: pg_sys::MemoryContext) -> *mut pg_sys::FmgrInfo {
    // SAFETY: the information is allocated, filled in and caches what it needs in the plan's context.
    unsafe {
        let info = pg_sys::MemoryContextAllocZero(context, size_of::<pg_sys::FmgrInfo>()).cast();
        pg_sys::fmgr_info_cxt(function_id, info, context);
        info
    }
}

/// Whether the text of a type, or of one inside it, is made by code that is not PostgreSQL's own.
pub fn is_foreign(type_id: Oid) -> bool {
    if let Some(inner) = inner_types(type_id) {
        return inner.into_iter().any(is_foreign);
    }
    let (mut output, mut variable) = (Oid::INVALID, false);
    // SAFETY: the out-pointers are valid for the call.
    unsafe { pg_sys::getTypeOutputInfo(type_id, &mut output, &mut variable) };
    // SAFETY: a catalog lookup of the function just found.
    output.to_u32() >= pg_sys::FirstGenbkiObjectId && !unsafe { crate::pg::relation::is_internal_function(output) }
}

/// Whether the text of a type, or of one inside it, depends on search_path or lc_monetary.
pub fn needs_names(type_id: Oid) -> bool {
    if let Some(inner) = inner_types(type_id) {
        return inner.into_iter().any(needs_names);
    }
    // The reg* types, and money, which looks at lc_monetary; not aclitem, which names roles but no schema.
    use pg_sys::BuiltinOid::*;
    [
        REGPROCOID,
        REGOPEROID,
        REGPROCEDUREOID,
        REGOPERATOROID,
        REGCLASSOID,
        REGTYPEOID,
        REGCONFIGOID,
        REGDICTIONARYOID,
        REGNAMESPACEOID,
        REGROLEOID,
        REGCOLLATIONOID,
        MONEYOID,
    ]
    .iter()
    .any(|named| Oid::from(*named) == type_id)
}

/// Raises an ERROR before types nested in one another use up the stack, and lets the walk through them be cancelled:
/// types that contain each other twice, level after level, are few and take exponentially long.
pub fn check_depth() {
    // SAFETY: it compares addresses and settings.
    unsafe { pg_sys::check_stack_depth() }
    pgrx::check_for_interrupts!();
}

/// Whether reading a value from text runs C code alone, PostgreSQL's or an extension's. Constraints of a domain and
/// functions in other languages are code of the type's owner, which would run with the rights of whichever role reads.
pub fn reads_by_c_code(type_id: Oid) -> bool {
    // SAFETY: catalog lookups of an existing type; entries of the type cache live as long as the process.
    unsafe {
        if pg_sys::get_typtype(type_id).cast_unsigned() == pg_sys::TYPTYPE_DOMAIN {
            return false;
        }
        if pg_sys::get_range_subtype(type_id) != Oid::INVALID {
            let range = &*pg_sys::lookup_type_cache(type_id, pg_sys::TYPECACHE_RANGE_INFO.cast_signed());
            let functions = [range.rng_canonical_finfo.fn_oid, range.rng_cmp_proc_finfo.fn_oid];
            if functions.into_iter().any(|function| function != Oid::INVALID && !relation::is_c_function(function)) {
                return false;
            }
        }
        if let Some(inner) = inner_types(type_id) {
            return inner.into_iter().all(reads_by_c_code);
        }
        let (mut input, mut parameter) = (Oid::INVALID, Oid::INVALID);
        pg_sys::getTypeInputInfo(type_id, &mut input, &mut parameter);
        relation::is_c_function(input)
    }
}

/// Whether the input function of a type, or of one inside it, applies modifiers that the types inside have.
pub fn applies_modifiers(type_id: Oid) -> bool {
    check_depth();
    let mut modifier = -1;
    // SAFETY: catalog lookups of an existing type.
    unsafe {
        let base = pg_sys::getBaseTypeAndTypmod(type_id, &mut modifier);
        if modifier >= 0 {
            return true;
        }
        if pg_sys::type_is_rowtype(base) && base != pg_sys::RECORDOID {
            let descriptor = pg_sys::lookup_rowtype_tupdesc(base, -1);
            let found = relation::attributes(descriptor)
                .filter(|attribute| !attribute.dropped)
                .any(|attribute| attribute.type_modifier >= 0 || applies_modifiers(attribute.type_id));
            relation::release_descriptor(descriptor);
            return found;
        }
        inner_types(base).is_some_and(|inner| inner.into_iter().any(applies_modifiers))
    }
}

/// The types whose text is part of this type's text; none for a scalar.
fn inner_types(type_id: Oid) -> Option<Vec<Oid>> {
    check_depth();
    // SAFETY: catalog lookups of existing types.
    unsafe {
        let base = pg_sys::getBaseType(type_id);
        if base != type_id {
            return Some(vec![base]);
        }
        for inner in
            [pg_sys::get_element_type(base), pg_sys::get_range_subtype(base), pg_sys::get_multirange_range(base)]
        {
            if inner != Oid::INVALID {
                return Some(vec![inner]);
            }
        }
        if pg_sys::type_is_rowtype(base) && base != pg_sys::RECORDOID {
            let descriptor = pg_sys::lookup_rowtype_tupdesc(base, -1);
            let types = crate::pg::relation::attributes(descriptor)
                .filter(|attribute| !attribute.dropped)
                .map(|attribute| attribute.type_id)
                .collect();
            crate::pg::relation::release_descriptor(descriptor);
            return Some(types);
        }
    }
    None
}
