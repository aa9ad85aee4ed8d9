// simdjson shim
