// What every view needs to know of the platform: asked once for all of them, and remembered while nobody answers.
import { api, setServerTime } from "./dom.js";

const statusMilliseconds = 1000;
const healthMilliseconds = 3000;

/**
 * The last replies; since when nobody answers, and since when what answers gives no status (milliseconds of this browser's clock; null
 * while it does).
 */
export const platform = { status: null, health: null, awaySince: null, troubledSince: null, failure: "" };

const listeners = new Set();

/** Calls `listener` after each look. */
export function onStatus(listener) {
  listeners.add(listener);
}

function tell() {
  for (const listener of listeners) listener(platform);
}

/** Asks again and again, seldom while nobody looks; the next time is counted from the reply, so that slow ones do not pile up. */
export function repeat(look, milliseconds) {
  const next = async () => {
    try {
      await look();
    } finally {
      setTimeout(next, document.hidden ? 5 * milliseconds : milliseconds);
    }
  };
  next();
}

async function lookAtStatus() {
  try {
    const status = await api("/pipeline/status", { signal: AbortSignal.timeout(10000) });
    setServerTime(status.now);
    Object.assign(platform, { status, awaySince: null, troubledSince: null, failure: "" });
  } catch (error) {
    // What the API says in its own words is an answer, if only that it is busy, or that this key may see nothing.
    const isThere = error.status !== undefined;
    const isRefused = isThere && error.status < 500 && error.status !== 429;
    platform.awaySince = isThere ? null : platform.awaySince ?? Date.now();
    platform.troubledSince = isThere && !isRefused ? platform.troubledSince ?? Date.now() : null;
    platform.failure = error.message;
    if (isRefused) platform.status = null;
  }
  tell();
}

async function lookAtHealth() {
  try {
    platform.health = await api("/health", { signal: AbortSignal.timeout(10000) });
  } catch {
    platform.health = null;
  }
  tell();
}

export function startStatus() {
  repeat(lookAtStatus, statusMilliseconds);
  repeat(lookAtHealth, healthMilliseconds);
}

/** After the key has changed. */
export function lookAgain() {
  lookAtStatus();
  lookAtHealth();
}
