"""Tables as the newest scan of their cluster found them."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import Select, select
from sqlalchemy.orm import Session, undefer_group

from app.api.context import Ctx, Limit, get_or_404
from app.api.schemas import Page, PartitionOut, RatedTableOut, TableOut
from app.db.models import RATIO_GROUP, Cluster, PartitionRecord, ScanRecord
from app.names import API_PREFIX, Feature

router = APIRouter(prefix=f"{API_PREFIX}/tables", tags=["tables"])


class Order(StrEnum):
    """How tables are listed; by ratio since 1.0.0."""

    SMALL_FILES = "small_files"
    NAME = "name"
    RATIO = "ratio"


_BY_NAME = (ScanRecord.database_name, ScanRecord.table_name, ScanRecord.id)
_ORDER = {
    Order.SMALL_FILES: (ScanRecord.small_files.desc(), *_BY_NAME),
    Order.NAME: _BY_NAME,
    Order.RATIO: (ScanRecord.small_file_ratio.desc().nulls_last(), *_BY_NAME),
}
ClusterId = Annotated[int | None, Query(ge=1, le=2**62)]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="next_after of the page before")]


@router.get("", response_model=None)
def list_tables(
    context: Ctx,
    cluster_id: ClusterId = None,
    order: Order = Order.SMALL_FILES,
    after: Offset = 0,
    limit: Limit = 100,
) -> Page[RatedTableOut] | Page[TableOut]:
    """List the tables; since 1.0.0 with the share of small files, and ordered by it on demand."""
    rated = context.release.has(Feature.SMALL_FILE_RATIO)
    if order is Order.RATIO and not rated:
        raise HTTPException(422, f"order=ratio is not known to version {context.release.version}")
    with context.reading() as session:
        query = _newest(session, cluster_id).order_by(*_ORDER[order]).offset(after).limit(limit + 1)
        if rated:
            query = query.options(undefer_group(RATIO_GROUP))
        rows = list(session.scalars(query))
    following = after + limit if len(rows) > limit else None
    if rated:
        return Page(items=[RatedTableOut.model_validate(row) for row in rows[:limit]], next_after=following)
    return Page(items=[TableOut.model_validate(row) for row in rows[:limit]], next_after=following)


@router.get("/{table_id}/partitions")
def list_partitions(context: Ctx, table_id: int, limit: Limit = 100) -> list[PartitionOut]:
    """List the partitions with small files, the worst first; table_id is an id of /tables."""
    with context.reading() as session:
        record = get_or_404(session, ScanRecord, table_id)
        query = (
            select(PartitionRecord)
            .where(PartitionRecord.scan_record_id == record.id)
            .order_by(PartitionRecord.small_files.desc(), PartitionRecord.id)
            .limit(limit)
        )
        return [PartitionOut.model_validate(row) for row in session.scalars(query)]


def _newest(session: Session, cluster_id: int | None) -> Select[tuple[ScanRecord]]:
    newest = select(Cluster.last_scan_task_id).where(Cluster.last_scan_task_id.is_not(None))
    if cluster_id is not None:
        newest = newest.where(Cluster.id == cluster_id)
    # Two questions instead of a join: with the ids in hand the planner takes the index and not the whole history.
    return select(ScanRecord).where(ScanRecord.scan_task_id.in_(session.scalars(newest).all()))
