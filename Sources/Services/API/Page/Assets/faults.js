// What the parts of the platform that are away mean to visitors: one line for one cause, with what still works.

/**
 * What of the parts has failed because another one has: one line for one cause. Without the index's database nothing is indexed; without
 * the broker nothing is taken in either.
 */
const consequences = {
  broker: ["delivery", "stream", "indexer", "suppressions", "source requests"], database: ["index", "indexer", "suppressions"],
  index: ["indexer", "suppressions"], disk: ["log", "lake", "stream", "delivery"], log: ["delivery"], lake: ["stream"],
};

/** What still works while a component is away, by its kind. */
const effects = {
  broker: "New events cannot be taken in. Search, answers and traces work on what is indexed.",
  database: "Nothing new becomes searchable, and traces fail. Searches go on from memory where that is switched on. Events are kept in the lake and indexed afterwards.",
  index: "Searches, answers and traces may fail; events are still taken into the lake and are indexed afterwards.",
  memory: "Searches go on in memory, and say how old that is. Answers, traces and feeds fail; events are taken into the lake and indexed afterwards.",
  cache: "Each server answers from its own memory, or anew.",
  embedding: "Searches use words alone, and answers find less. New documents wait for their vectors.",
  source: "Nothing new arrives. All that is indexed can be searched, asked and traced.",
  delivery: "Events wait in the producer. All that is indexed can be searched, asked and traced.",
  stream: "Events wait in the topic. All that is indexed can be searched, asked and traced.",
  indexer: "Events go into the lake, but do not become searchable. All that is indexed can be searched.",
  "source requests": "No source is read, and none takes documents, until what was asked of the sources is known. All that is indexed can be searched, asked and traced.",
  lake: "Nothing more is taken into the lake, and so nothing new becomes searchable. Search and answers work on what is indexed; traces may fail.",
  log: "Events wait in the producer. All that is indexed can be searched, asked and traced.",
  disk: "Events may not be taken in. Search, answers and traces work on what is indexed.",
  suppressions: "Suppressions cannot be asked for or lifted. Those that were applied hold.",
  declarations: "Changed sources are not taken over; the former ones run.",
  model_fallback: "Should the first model fail, answers quote the retrieved text.",
  model: "Answers quote the retrieved text in place of a model's words.",
};

/** What of the platform a component is: a source has its name behind the word. */
const kind = (name) => (name === "source requests" ? name : name.split(" ")[0]);

/** What is away, by cause: name, what is said of it, since when, what still works. */
export function faults(entries) {
  // The index that is searched in memory alone is no failure of the server's, and a failure of the database all the same.
  const isInMemory = (name, entry) => name === "index" && entry.state === "degraded";
  // A language model that failed once is asked again; one that failed several times rests.
  const isResting = (entry) => entry.state === "degraded" && (entry.detail.circuit ?? "closed") !== "closed";
  const away = entries.filter(([name, entry]) => entry.state === "failed" || isInMemory(name, entry) || isResting(entry));
  const causes = away.map(([name]) => consequences[kind(name)] ?? []).flat();
  return away.filter(([name]) => !causes.includes(kind(name))).map(([name, entry]) => {
    const also = away.map(([other]) => other).filter((other) => (consequences[kind(name)] ?? []).includes(kind(other)));
    const words = isInMemory(name, entry) ? entry.message.split(";")[0] : isResting(entry) ? entry.message : `has failed: ${entry.message}`;
    return [name, also.length ? `${words} (and so ${also.length > 1 ? "have" : "has"} ${also.join(", ")})` : words, entry.last_ok,
      effects[isInMemory(name, entry) ? "memory" : kind(name)] ?? ""];
  });
}
