#!/usr/bin/env bash
# Tries a deployment from outside: is everything reachable, do events arrive, are they found, can they be traced?
#
# Usage: tools/smoke.sh                tries the API at SMOKE_URL (http://127.0.0.1:8080)
#        tools/smoke.sh panels         asks Grafana at GRAFANA_URL (http://127.0.0.1:3000) for every panel of the dashboards
#        tools/smoke.sh runbook        asks Prometheus at PROMETHEUS_URL (http://127.0.0.1:9090) for the page that alerts lead to
#        tools/smoke.sh up             first builds and starts infra/docker-compose.yml, with invented events and monitoring
#        tools/smoke.sh down           stops that, and removes its volumes
#
# Takes curl and jq, for up and down Docker with Compose. Exit code 0 only if all steps worked. MEDALLION_API_KEY is sent
# where it is set; SMOKE_SECONDS is how long the first document may take (180).
set -euo pipefail
cd "$(dirname "$0")/.."

url=${SMOKE_URL:-http://127.0.0.1:8080}
grafana=${GRAFANA_URL:-http://127.0.0.1:3000}
prometheus=${PROMETHEUS_URL:-http://127.0.0.1:9090}
seconds=${SMOKE_SECONDS:-180}
compose=(docker compose -f infra/docker-compose.yml --env-file infra/.env --profile simulated --profile monitoring)

say() { echo "smoke: $*"; }
fail() {
    echo "smoke: $*" >&2
    exit 1
}

need() { command -v "$1" >/dev/null || fail "$1 is not installed"; }

ask() {
    local path=$1
    shift
    local headers=(-H 'Content-Type: application/json')
    [ -z "${MEDALLION_API_KEY:-}" ] || headers+=(-H "Authorization: Bearer $MEDALLION_API_KEY")
    curl -fsS --max-time 20 "${headers[@]}" "$@" "$url$path"
}

# The password is made here, so that none is in the repository.
write_environment() {
    [ -f infra/.env ] && return
    (
        umask 077
        {
            echo "POSTGRES_PASSWORD=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
            echo "WIKIMEDIA_SSE_URL=http://simulator:8090/v2/stream/recentchange"
        } >infra/.env
    )
    say "wrote infra/.env"
}

await_documents() {
    local deadline=$((SECONDS + seconds))
    until [ "$(ask '/events/recent?limit=1' 2>/dev/null | jq '.events | length' 2>/dev/null || echo 0)" = 1 ]; do
        [ $SECONDS -lt $deadline ] || fail "no document within $seconds s; see $url/health"
        sleep 1
    done
}

try_everything() {
    await_documents
    local health event id title found
    health=$(ask /health) || fail "$url/health does not answer"
    say "health: $(jq -c 'if .dependencies then .dependencies | map_values(.state) else .status end' <<<"$health")"
    event=$(ask '/events/recent?limit=1' | jq -c '.events[0]')
    id=$(jq -r .doc_id <<<"$event")
    title=$(jq -r .title <<<"$event")
    say "newest document: $title"
    found=$(jq -n --arg query "$title" '{query: $query, top_k: 5}' | ask /search --data-binary @- | jq '.hits | length')
    [ "$found" -gt 0 ] || fail "a search for “$title” finds nothing"
    say "search: $found hits"
    jq -n --arg question "$title" '{query: $question}' | ask /answer --data-binary @- |
        jq -e 'has("answer_id")' >/dev/null || fail "/answer gives no answer_id"
    say "answer: stored"
    ask "/trace/$id" | jq -e .complete >/dev/null || fail "the trace of $id is not complete: $url/trace/$id"
    say "trace: complete, down to the raw event"
    ask /metrics | grep '^medallion_' >/dev/null || fail "/metrics has nothing of ours"
    say "all is well"
}

# Every query of every panel, as Grafana's data source passes it on to Prometheus: each must be understood. Series that come with
# a fault, a language model or TLS are not there yet; they are counted and named.
try_panels() {
    local name board panel query answer asked=0 empty=()
    for name in on-call pipeline retrieval resources; do
        board=$(curl -fsS --max-time 20 "$grafana/api/dashboards/uid/medallion-$name") ||
            fail "$grafana has no dashboard medallion-$name: is monitoring/grafana provisioned?"
        while IFS=$'\t' read -r panel query; do
            query=${query//'$__rate_interval'/1m}
            query=${query//'$instance'/.*}
            answer=$(curl -fsS --max-time 20 --get --data-urlencode "query=$query" \
                "$grafana/api/datasources/proxy/uid/medallion/api/v1/query") ||
                fail "$name, “$panel”: Grafana gets no answer to $query"
            asked=$((asked + 1))
            [ "$(jq '.data.result | length' <<<"$answer")" -gt 0 ] || empty+=("“$panel”")
        done < <(jq -r '.dashboard.panels[] | .title as $title | .targets[]? | [$title, .expr] | @tsv' <<<"$board" |
            sed 's/\\\\/\\/g')
    done
    [ "$asked" -gt 0 ] || fail "the dashboards ask for nothing"
    [ ${#empty[@]} -lt "$asked" ] || fail "no panel has anything: does Prometheus scrape the roles?"
    say "panels: $asked queries, ${#empty[@]} without series yet: ${empty[*]:-none}"
}

try_runbook() {
    curl -fsS --max-time 20 "$prometheus/consoles/runbook.html" | grep 'id="medallionindexstale"' >/dev/null ||
        fail "$prometheus serves no runbook: is monitoring/consoles where --web.console.templates looks?"
    say "runbook: $prometheus/consoles/runbook.html"
}

need curl
need jq
case "${1:-}" in
    "") try_everything ;;
    up)
        need docker
        write_environment
        "${compose[@]}" up -d --build
        try_everything
        try_panels
        try_runbook
        ;;
    panels) try_panels ;;
    runbook) try_runbook ;;
    down)
        need docker
        "${compose[@]}" down --volumes
        ;;
    *)
        echo "usage: tools/smoke.sh [panels|runbook|up|down]" >&2
        exit 64
        ;;
esac
