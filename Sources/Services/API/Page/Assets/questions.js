// Questions made of what was just edited, for visitors who do not know what there is.

/** Up to `most` questions from the newest titles; titles of pages about pages make none. */
export function examples(events, most = 4) {
  const found = [];
  for (const event of events) {
    const title = (event.title ?? "").trim();
    // "Talk:", "User:" and the like, identifiers such as Q42, and what is too long to be read.
    if (title.length < 3 || title.length > 60 || /^[\p{L} ]+:/u.test(title) || /^[A-Z]?\d+$/.test(title)) continue;
    const question = `what changed in ${title}?`;
    if (!found.includes(question)) found.push(question);
    if (found.length === most) break;
  }
  return found;
}
