"""Calls the tools by the Model Context Protocol's own client, over HTTP and through `medallion mcp`.

Usage: mcp_clients.py URL KEY EXECUTABLE

Prints one JSON object: for each transport the server, its tools and what came of calls.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

url, key, executable = sys.argv[1:4]


def shown(result):
    return {
        "error": result.is_error,
        "text": "".join(part.text for part in result.content if part.type == "text"),
        "structured": result.structured_content,
    }


async def use(server, mode):
    async with Client(server, mode=mode) as client:
        tools = (await client.list_tools()).tools
        found = await client.call_tool("search", {"query": "golden gate", "top_k": 2})
        hit = found.structured_content["hits"][0]
        calls = {
            "search": found,
            "answer": await client.call_tool("answer", {"query": "who repainted the golden gate bridge towers?"}),
            "refusal": await client.call_tool("answer", {"query": "what is the boiling point of mercury?"}),
            "trace": await client.call_tool("trace", {"doc_id": hit["doc_id"], "collection": hit["collection"]}),
            "recent": await client.call_tool("recent", {"limit": 2, "wiki": ["enwiki"]}),
            "filtered": await client.call_tool(
                "recent", {"limit": 9, "filter": {"must_not": [{"attribute": "wiki", "equals": "enwiki"}]}}),
            "no_document": await client.call_tool("trace", {"doc_id": "none"}),
            "wrong": await client.call_tool("search", {"query": "x", "top_k": 0, "colour": "red"}),
        }
        try:
            await client.call_tool("destroy", {})
            unknown = None
        except MCPError as failure:
            unknown = failure.error.code
        if mode == "legacy":
            await client.send_ping()
        return {
            "version": client.protocol_version,
            "server": client.server_info.name,
            "instructions": client.instructions,
            "tools": {tool.name: tool.model_dump(by_alias=True) for tool in tools},
            "calls": {name: shown(result) for name, result in calls.items()},
            "unknown": unknown,
        }


async def main():
    headers = {"Authorization": f"Bearer {key}"}
    result = {}
    for mode in ["auto", "legacy"]:
        async with httpx2.AsyncClient(headers=headers, timeout=20) as http:
            result[mode] = await use(streamable_http_client(f"{url}/mcp", http_client=http), mode)
    stdio = StdioServerParameters(
        command=executable, args=["mcp", "--url", url], env={"MEDALLION_API_KEY": key, "LOG_LEVEL": "debug"})
    result["stdio"] = await use(stdio, "auto")
    print(json.dumps(result))


asyncio.run(main())
