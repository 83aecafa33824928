/*
 * The floor that the benchmark compares with: the least that a trigger can do to keep the old and the new
 * version of a row.  It copies the raw tuples into one row of a heap table with one B-tree and does nothing
 * else: no decoding, no attribution, nothing that could be read back.  Not a part of the extension.
 *
 * The table is trail.log(occurred_at timestamptz, old bytea, new bytea).  It stays open, with the IndexInfo
 * of its index, from the first row of a transaction to its end.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static Relation trail = NULL;
static Relation trail_index = NULL;
static IndexInfo *trail_index_info = NULL;

static void
transaction_ends(XactEvent event, void *argument)
{
	if (trail == NULL)
		return;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
	{
		ResourceOwner owner = CurrentResourceOwner;

		CurrentResourceOwner = TopTransactionResourceOwner;
		index_close(trail_index, NoLock);
		table_close(trail, NoLock);
		CurrentResourceOwner = owner;
		trail = NULL;
	}
	/* The resource owner has closed it. */
	if (event == XACT_EVENT_ABORT)
		trail = NULL;
}

void
_PG_init(void)
{
	RegisterXactCallback(transaction_ends, NULL);
}

static void
open_trail(void)
{
	ResourceOwner owner = CurrentResourceOwner;
	MemoryContext context = MemoryContextSwitchTo(TopTransactionContext);
	Relation	opened;

	CurrentResourceOwner = TopTransactionResourceOwner;
	opened = table_open(get_relname_relid("log", get_namespace_oid("trail", false)), RowExclusiveLock);
	trail_index = index_open(linitial_oid(RelationGetIndexList(opened)), RowExclusiveLock);
	trail_index_info = BuildIndexInfo(trail_index);
	trail = opened;
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(context);
}

static Datum
raw_image(HeapTuple tuple)
{
	bytea	   *image = palloc(VARHDRSZ + tuple->t_len);

	SET_VARSIZE(image, VARHDRSZ + tuple->t_len);
	memcpy(VARDATA(image), tuple->t_data, tuple->t_len);
	return PointerGetDatum(image);
}

PG_FUNCTION_INFO_V1(keep_raw_images);

Datum
keep_raw_images(PG_FUNCTION_ARGS)
{
	TriggerData *call = (TriggerData *) fcinfo->context;
	HeapTuple	old = TRIGGER_FIRED_BY_INSERT(call->tg_event) ? NULL : call->tg_trigtuple;
	HeapTuple	new = TRIGGER_FIRED_BY_INSERT(call->tg_event) ? call->tg_trigtuple :
		TRIGGER_FIRED_BY_UPDATE(call->tg_event) ? call->tg_newtuple : NULL;
	Datum		values[3] = {TimestampTzGetDatum(GetCurrentTimestamp())};
	bool		nulls[3] = {false, old == NULL, new == NULL};
	HeapTuple	tuple;

	if (trail == NULL)
		open_trail();
	if (old != NULL)
		values[1] = raw_image(old);
	if (new != NULL)
		values[2] = raw_image(new);
	tuple = heap_form_tuple(RelationGetDescr(trail), values, nulls);
	heap_insert(trail, tuple, GetCurrentCommandId(true), 0, NULL);
	index_insert(trail_index, values, nulls, &tuple->t_self, trail, UNIQUE_CHECK_NO, false, trail_index_info);
	return PointerGetDatum(NULL);
}
