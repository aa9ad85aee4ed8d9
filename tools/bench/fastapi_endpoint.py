"""The endpoint that `medallion bench http` measures, as one writes it with FastAPI. Keep in step with BenchEndpoint.swift.

Usage: uvicorn --app-dir tools/bench fastapi_endpoint:app
"""

from enum import Enum

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

app = FastAPI()


class Mode(str, Enum):
    hybrid = "hybrid"
    vector = "vector"
    lexical = "lexical"


class Filters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    wiki: list[str] = Field(default=[], max_length=64)
    is_bot: bool | None = None


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid")
    query: str = Field(min_length=1, max_length=2000)
    top_k: int = Field(default=10, ge=1, le=100)
    mode: Mode = Mode.hybrid
    filters: Filters = Filters()


class Hit(BaseModel):
    doc_id: str
    title: str
    url: str
    snippet: str
    wiki: str
    is_bot: bool
    rank: int


class Reply(BaseModel):
    query: str
    mode: Mode
    hits: list[Hit]


@app.post("/search")
async def search(query: Query) -> Reply:
    wiki = query.filters.wiki[0] if query.filters.wiki else "enwiki"
    hits = [
        Hit(
            doc_id=f"5fa5fd08-19b7-4aeb-92c5-{number:012d}", title=f"Golden Gate Bridge {number}",
            url=f"https://en.wikipedia.org/wiki/Golden_Gate_Bridge_{number}",
            snippet="repainted towers section, new source for the opening date", wiki=wiki,
            is_bot=bool(query.filters.is_bot), rank=number,
        )
        for number in range(1, query.top_k + 1)
    ]
    return Reply(query=query.query, mode=query.mode, hits=hits)
