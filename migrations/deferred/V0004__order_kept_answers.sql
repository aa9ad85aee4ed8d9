-- Finding the oldest answers, and what all of them take, reads this alone.
CREATE INDEX CONCURRENTLY IF NOT EXISTS answers_kept ON answers (created_at, answer_id) INCLUDE (bytes, is_anonymous)
