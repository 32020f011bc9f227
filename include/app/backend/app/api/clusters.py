"""Clusters: the warehouses that are looked after."""

from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.api.context import After, Ctx, Limit, get_or_404
from app.api.schemas import ClusterIn, ClusterOut, Page
from app.db.models import Cluster
from app.errors import StorageRefusedError
from app.names import API_PREFIX
from app.storage.opening import check_root

router = APIRouter(prefix=f"{API_PREFIX}/clusters", tags=["clusters"])


@router.get("")
def list_clusters(context: Ctx, after: After = 0, limit: Limit = 100) -> Page[ClusterOut]:
    """List the clusters by id."""
    query = select(Cluster).where(Cluster.id > after).order_by(Cluster.id).limit(limit + 1)
    with context.reading() as session:
        rows = list(session.scalars(query))
    more = len(rows) > limit
    items = [ClusterOut.model_validate(row) for row in rows[:limit]]
    return Page(items=items, next_after=items[-1].id if more else None)


@router.get("/{cluster_id}")
def get_cluster(context: Ctx, cluster_id: int) -> ClusterOut:
    """Return one cluster."""
    with context.reading() as session:
        return ClusterOut.model_validate(get_or_404(session, Cluster, cluster_id))


@router.post("", status_code=201)
def add_cluster(context: Ctx, body: ClusterIn) -> ClusterOut:
    """Add a warehouse below one of the trees of APP_STORAGE_ROOTS."""
    try:
        check_root(body.root_url, context.settings.storage_roots)
    except StorageRefusedError as error:
        raise HTTPException(422, str(error)) from error
    cluster = Cluster(name=body.name, root_url=body.root_url, created_at=datetime.now(UTC))
    with context.writing() as session:
        session.add(cluster)
        try:
            session.commit()
        except IntegrityError as error:
            raise HTTPException(409, f"a cluster named {body.name} is there already") from error
    return ClusterOut.model_validate(cluster)
