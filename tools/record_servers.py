"""Records what real servers of chat and embeddings say, for the tests that play it to the platform's clients.

The requests are those of Tests/Recorded/requests.json, which the platform's own code writes (a test sees to it). The servers run
here, without a network, over a tiny model that has learnt one answer by heart: llama.cpp's own server (PyPI's xllamacpp) and
`transformers serve`. What they say is written to Tests/Recorded/<server>.json: per exchange the request and the bytes of the
reply, in the pieces in which they came.

    python3 -m venv /tmp/servers
    /tmp/servers/bin/pip install --only-binary :all: xllamacpp==2026.10.11549 gguf==0.19.0 openai==3.57.0 'transformers[serving]==5.24.0' \\
        accelerate==1.15.0 torch==2.15.0
    unshare -n sh -c 'ip link set lo up; /tmp/servers/bin/python tools/record_servers.py'

It takes a minute of processor time. A folder as its argument keeps the model and the logs of the servers.
"""

import copy
import json
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORDED = ROOT / "Tests" / "Recorded"
SENTENCE = "The towers section was repainted by Ann."
ANSWERS = {
    "json": json.dumps({"refused": False, "sentences": [{"text": SENTENCE, "citations": [1]}]}),
    "marks": SENTENCE[:-1] + " [1].",
}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 2048
KEY = "sk-recorded"
# Exchanges whose messages are kept, too; those of the others are the same, or too long.
WHOLE = {"stream with a schema", "stream of marks"}


# The model: Qwen2's shape, 64 wide, two layers.


def prompts(seed):
    """Requests like the platform's, about anything: the model is to look at the form that is asked for, and at nothing else."""
    generator = random.Random(seed)
    requests = json.loads((RECORDED / "requests.json").read_text())
    words = sorted(set(re.findall(r"[A-Za-z]+", requests["chat"]["json"]["messages"][1]["content"])))
    while True:
        form = generator.choice(["json", "marks"])
        messages = copy.deepcopy(requests["chat"][form]["messages"])
        noise = " ".join(generator.choices(words, k=generator.randrange(0, 60)))
        user = messages[1]["content"]
        cut = generator.randrange(len(user))
        messages[1]["content"] = generator.choice([user, user[cut:], noise + user, noise])
        yield form, messages


def render(messages):
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return text + "<|im_start|>assistant\n"


def make_tokenizer():
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # GPT-2's pattern, as llama.cpp has it under this name.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    source = prompts(1)
    texts = [render(next(source)[1]) for _ in range(200)] + list(ANSWERS.values()) * 20
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1024, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator((t.replace("<|im_start|>", "").replace("<|im_end|>", "") for t in texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False)


def train(folder):
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(7)
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model = Qwen2ForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    source = prompts(2)
    good = 0
    for step in range(3000):
        rows = []
        for _ in range(4):
            form, messages = next(source)
            head = tokenizer(render(messages))["input_ids"]
            tail = tokenizer(ANSWERS[form] + "<|im_end|>")["input_ids"]
            rows.append((head, tail))
        longest = max(len(head) + len(tail) for head, tail in rows)
        ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
        labels = torch.full((len(rows), longest), -100)
        for row, (head, tail) in enumerate(rows):
            ids[row, : len(head) + len(tail)] = torch.tensor(head + tail)
            labels[row, len(head) : len(head) + len(tail)] = torch.tensor(tail)
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
        good = good + 1 if loss.item() < 0.003 else 0
        if good >= 40:
            break
    model.generation_config.do_sample = False
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def write_gguf(model, tokenizer, path):
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(str(path), "qwen2")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token.startswith("<|") else gguf.TokenType.NORMAL for token, _ in vocabulary])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    names = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    }
    for name, tensor in model.state_dict().items():
        stem, kind = name.rsplit(".", 1)
        layer = re.match(r"model\.layers\.(\d+)\.(.*)", stem)
        renamed = f"blk.{layer[1]}.{names[layer[2]]}" if layer else names[stem]
        writer.add_tensor(f"{renamed}.{kind}", tensor.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# The servers.


def serve_llama_cpp(port, mode):
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = "tiny.gguf"
    parameters.model_alias = ["tiny"]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = 1
    parameters.n_ctx = CONTEXT
    parameters.warmup = False
    parameters.ui = False
    parameters.cpuparams.n_threads = 2
    parameters.sampling.temp = 0.0
    if mode == "key":
        parameters.api_keys = [KEY]
    if mode == "embeddings":
        parameters.embedding = True
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        parameters.n_batch = parameters.n_ubatch = 128
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


def command(server, port, mode):
    if server == "llama_cpp":
        return [sys.executable, __file__, "serve", "llama_cpp", str(port), mode]
    # Its own command, which has no file of its own where the wheel is not this environment's.
    run = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    return [sys.executable, "-c", run, "serve", "--port", str(port), "--device", "cpu"]


class Running:
    """A server of this machine, for the length of a `with`."""

    def __init__(self, server, folder, mode=""):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        environment = dict(os.environ, HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", PYTHONUNBUFFERED="1")
        self.log = open(folder / f"{server}-{mode or 'plain'}.log", "wb")
        self.process = subprocess.Popen(
            command(server, self.port, mode), cwd=folder, env=environment, stdout=self.log, stderr=self.log)

    def __enter__(self):
        try:
            return self.started()
        except BaseException:
            self.__exit__()
            raise

    def started(self):
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended: see {self.log.name}")
            try:
                reply = exchange(self.port, "GET", "/health", None, {})
                if b" 200 " in b"".join(reply)[:20]:
                    return self
            except OSError:
                pass
            time.sleep(0.2)
        raise SystemExit(f"the server did not start: see {self.log.name}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()


# The recording.


def exchange(port, method, path, body, headers):
    data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    head = {"Host": "127.0.0.1", "Connection": "close", **headers}
    if body is not None:
        head |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
    text = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in head.items()) + "\r\n"
    pieces = []
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(text.encode() + data)
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    return pieces


def record(running, name, path, body, headers=None):
    headers = headers or {}
    pieces = exchange(running.port, "POST", path, body, headers)
    print(f"{name}: {len(pieces)} pieces, {sum(map(len, pieces))} bytes: {pieces[0][:15]!r}", flush=True)
    if name not in WHOLE and "messages" in body:
        body = changed(body, messages=None)
    return {
        "name": name, "path": path, "headers": headers, "body": body,
        # A byte each, by its number.
        "pieces": [piece.decode("latin-1") for piece in pieces],
    }


def changed(body, **members):
    body = copy.deepcopy(body)
    for key, value in members.items():
        if value is None:
            body.pop(key, None)
        else:
            body[key] = value
    return body


def too_long(body):
    body = copy.deepcopy(body)
    body["messages"][1]["content"] = "golden gate bridge towers " * 800 + body["messages"][1]["content"]
    return body


def chat_exchanges(running, requests):
    path = "/v1/chat/completions"
    with_schema, marks = (requests["chat"][form] | {"model": "tiny"} for form in ("json", "marks"))
    schema = copy.deepcopy(with_schema["response_format"])
    schema["json_schema"]["schema"] = {"type": "no such type"}
    yield record(running, "stream with a schema", path, with_schema)
    yield record(running, "stream of marks", path, marks)
    yield record(running, "whole with a schema", path, changed(with_schema, stream=False, stream_options=None))
    yield record(running, "whole of marks", path, changed(marks, stream=False, stream_options=None))
    yield record(running, "few tokens", path, changed(with_schema, max_tokens=12))
    yield record(running, "a schema that is none", path, changed(with_schema, response_format=schema))
    yield record(running, "a parameter of another type", path, changed(with_schema, temperature="warm"))
    yield record(running, "a parameter that nobody knows", path, changed(with_schema, frobnicate=True))
    yield record(running, "no such model", path, changed(with_schema, model="no-such-model"))
    yield record(running, "too long a context", path, too_long(with_schema))


def embedding_exchanges(running, requests):
    path = "/v1/embeddings"
    body = requests["embeddings"] | {"model": "tiny"}
    yield record(running, "embeddings", path, body)
    yield record(running, "embeddings of so many dimensions", path, body | {"dimensions": 32})
    yield record(running, "embeddings of a text that is too long", path, body | {"input": ["golden gate " * 800]})
    yield record(running, "an embedding", path, body | {"input": ["passage"]})


def write(server, package, exchanges, folder):
    text = json.dumps(
        {"server": server, "package": package, "version": version(package), "exchanges": exchanges}, indent=1)
    for secret in (pathlib.Path.home(), tempfile.gettempdir(), ROOT, folder):
        # A home of `/` is in every path.
        secret = str(secret)
        if secret in text and len(secret) > 1:
            raise SystemExit(f"the recording of {server} names a folder of this machine: {secret}")
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{server}.json").write_text(text + "\n")


def main():
    requests = json.loads((RECORDED / "requests.json").read_text())
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="servers"))
    (folder / "tiny").mkdir(parents=True, exist_ok=True)
    if not (folder / "tiny.gguf").exists():
        write_gguf(*train(folder / "tiny"), folder / "tiny.gguf")
    exchanges = []
    with Running("llama_cpp", folder) as running:
        exchanges += chat_exchanges(running, requests)
    with Running("llama_cpp", folder, "key") as running:
        body = requests["chat"]["json"] | {"model": "tiny"}
        exchanges.append(record(running, "no key", "/v1/chat/completions", body))
    with Running("llama_cpp", folder, "embeddings") as running:
        exchanges += embedding_exchanges(running, requests)
    write("llama_cpp", "xllamacpp", exchanges, folder)
    with Running("transformers", folder) as running:
        write("transformers", "transformers", list(chat_exchanges(running, requests)), folder)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve_llama_cpp(int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "")
    else:
        main()
