//! Which partitions a command has attached or detached, for the event trigger on ddl_command_end.

use pgrx::pg_sys::{self, Datum, FunctionCallInfo};

use crate::pg::arguments::Arguments;
use crate::pg::catalog;
use crate::pg::guard::entry_point;
use crate::pg::list;
use crate::pg::rows::Rows;

entry_point!(audit_moved_partitions, pg_finfo_audit_moved_partitions, moved_partitions);

/// `audit_internal.moved_partitions(command pg_ddl_command) returns table (partition oid, is_attached boolean)`: the
/// partitions that an ALTER TABLE has attached or detached.
///
/// # Safety
/// Called by PostgreSQL.
unsafe fn moved_partitions(arguments: FunctionCallInfo) -> Datum {
    use pg_sys::AlterTableType as Kind;
    // SAFETY: a pg_ddl_command is a pointer to what PostgreSQL has collected about a command, which lives until the
    // event trigger is done (tcop/deparse_utility.h); its subcommands are AlterTableCmd nodes.
    unsafe {
        let mut rows = Rows::begin(arguments);
        let Some(command) = Arguments::new(arguments).datum(0) else { return Datum::null() };
        let command = &*command.cast_mut_ptr::<pg_sys::CollectedCommand>();
        if command.type_ != pg_sys::CollectedCommandType::SCT_AlterTable {
            return Datum::null();
        }
        let subcommands = command.d.alterTable.subcmds;
        for subcommand in list::pointers::<pg_sys::CollectedATSubcmd>(subcommands) {
            let kind = (*(*subcommand).parsetree.cast::<pg_sys::AlterTableCmd>()).subtype;
            let is_attached = match kind {
                Kind::AT_AttachPartition => true,
                Kind::AT_DetachPartition | Kind::AT_DetachPartitionFinalize => false,
                _ => continue,
            };
            if let Some(partition) = catalog::moved_partition(command.d.alterTable.objectId, is_attached) {
                rows.push([Some(Datum::from(partition)), Some(Datum::from(is_attached))]);
            }
        }
    }
    Datum::null()
}
