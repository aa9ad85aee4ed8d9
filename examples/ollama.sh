# A language model on this machine writes the answers; each sentence is still checked against what it cites.
ollama pull qwen2.5:3b
LLM_URL=http://127.0.0.1:11434/v1 LLM_MODEL=qwen2.5:3b LLM_TIMEOUT_MS=25000 medallion up
