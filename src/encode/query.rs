//! Values of type tsquery, whose own text does not say how they are stored: `a & (b & c)` prints without parentheses,
//! and operators such as `&&` lay operands out in another order than the parser does.
//!
//! Three forms are tried: the type's own text; the same with all parentheses; the text beside the bytes of the send
//! function, from which the receive function makes the value. A layout that none of them expresses, such as one with
//! bytes that no operand points to, comes back as an equal query and not as the same bytes, as after pg_dump.

use core::ffi::CStr;

use pgrx::pg_sys::{self, Datum, FmgrInfo, QueryItem, QueryOperand};

use super::marker;
use super::value::packed;
use crate::jsonb::{Kind, Writer};
use crate::pg::raw;

/// Writes a tsquery.
///
/// # Safety
/// As [`super::value::write`].
pub unsafe fn write(writer: &mut Writer, output: *mut FmgrInfo, input: *mut FmgrInfo, value: Datum) -> Kind {
    // SAFETY: a tsquery prints as text that its input function reads; an empty one would raise a NOTICE.
    unsafe {
        let text = raw::OutputFunctionCall(output, value);
        let bytes = packed(value);
        let written = CStr::from_ptr(text).to_bytes();
        if written.is_empty() || reads_back(input, text, bytes) {
            writer.push(written);
            return Kind::String;
        }
        let start = writer.len();
        spell(writer, Tree::of(bytes), 0, false);
        let length = writer.len() - start;
        let copy = raw::palloc(length + 1).cast::<u8>();
        copy.copy_from_nonoverlapping(writer.written()[start..].as_ptr(), length);
        *copy.add(length) = 0;
        if reads_back(input, copy.cast(), bytes) {
            return Kind::String;
        }
        writer.truncate(start);
        let sent = raw::DirectFunctionCall1Coll(Some(raw::tsquerysend), pg_sys::InvalidOid, value);
        marker::sent(writer, written, packed(sent))
    }
}

/// # Safety
/// As [`write`]; the text must be one of a tsquery that is not empty.
unsafe fn reads_back(input: *mut FmgrInfo, text: *mut core::ffi::c_char, bytes: &[u8]) -> bool {
    // SAFETY: per the contract.
    unsafe { packed(raw::InputFunctionCall(input, text, pg_sys::InvalidOid, -1)) == bytes }
}

/// A stored query: how many items, the items, and the operands that they point into (TSQueryData of tsearch/ts_type.h).
#[derive(Clone, Copy)]
struct Tree {
    items: *const QueryItem,
    operands: *const u8,
}

impl Tree {
    /// # Safety
    /// The bytes must be those of a tsquery without its header, not necessarily aligned.
    unsafe fn of(bytes: &[u8]) -> Tree {
        // SAFETY: per the contract.
        unsafe {
            let start = bytes.as_ptr();
            let count = start.cast::<u32>().read_unaligned() as usize;
            let items = start.add(4).cast::<QueryItem>();
            Tree { items, operands: items.add(count).cast() }
        }
    }
}

/// Writes the part of a query that begins with item `at`, with parentheses around every operation inside another one.
///
/// # Safety
/// The item must be one of the tree's.
unsafe fn spell(writer: &mut Writer, tree: Tree, at: usize, is_inner: bool) {
    // SAFETY: the tree is that of a stored query; an operator's right operand follows it, its left one is `left` items
    // away.
    unsafe {
        raw::check_stack_depth();
        let item = tree.items.add(at).read_unaligned();
        if u32::from(item.type_.cast_unsigned()) == pg_sys::QI_VAL {
            return operand(writer, tree, item.qoperand);
        }
        let operator = item.qoperator;
        let kind = u32::from(operator.oper.cast_unsigned());
        if kind == pg_sys::OP_NOT {
            writer.push(b"!");
            return spell(writer, tree, at + 1, true);
        }
        writer.push(if is_inner { b"( " } else { b"" });
        spell(writer, tree, at + operator.left as usize, true);
        match kind {
            pg_sys::OP_AND => writer.push(b" & "),
            pg_sys::OP_PHRASE if operator.distance == 1 => writer.push(b" <-> "),
            pg_sys::OP_PHRASE => {
                writer.push(b" <");
                decimal(writer, operator.distance.unsigned_abs());
                writer.push(b"> ");
            }
            _ => writer.push(b" | "),
        }
        spell(writer, tree, at + 1, true);
        writer.push(if is_inner { b" )" } else { b"" });
    }
}

/// # Safety
/// The operand must be one of the tree's.
unsafe fn operand(writer: &mut Writer, tree: Tree, operand: QueryOperand) {
    // SAFETY: an operand says where its text lies and how long it is.
    let text = unsafe {
        core::slice::from_raw_parts(tree.operands.add(operand.distance() as usize), operand.length() as usize)
    };
    writer.push(b"'");
    for byte in text {
        // In no encoding of a server is either of them part of another character.
        if matches!(byte, b'\'' | b'\\') {
            writer.push(&[*byte]);
        }
        writer.push(&[*byte]);
    }
    writer.push(b"'");
    if operand.weight != 0 || operand.prefix {
        writer.push(if operand.prefix { b":*" } else { b":" });
        for (bit, letter) in [(8, b"A"), (4, b"B"), (2, b"C"), (1, b"D")] {
            writer.push(if operand.weight & bit != 0 { letter } else { b"" });
        }
    }
}

fn decimal(writer: &mut Writer, number: u16) {
    let mut digits = [0_u8; 5];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let zeros = digits.iter().take(4).take_while(|digit| **digit == b'0').count();
    writer.push(&digits[zeros..]);
}
