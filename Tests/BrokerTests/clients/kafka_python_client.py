"""kafka-python: a client written in Python alone."""

import os
import shutil
import sys
import threading
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (ACLFilter, ACLOperation, ACLPermissionType, ACLResourcePatternType, ConfigResource,
                         ConfigResourceType, NewPartitions, NewTopic, ResourcePatternFilter, ResourceType)

from harness import PATIENCE, Broker, Report, equal, rebalance_trial, until


def create(broker, topic, partitions=1, **config):
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])
    admin.close()


def produce(broker, topic, values, **settings):
    producer = KafkaProducer(bootstrap_servers=broker.address, acks="all", **settings)
    futures = [producer.send(topic, value.encode(), key=f"key {i}".encode(), headers=[("number", str(i).encode())])
               for i, value in enumerate(values)]
    producer.flush(PATIENCE)
    for future in futures:
        future.get(PATIENCE)
    producer.close()


def consume(broker, topic, count, offset=0):
    consumer = KafkaConsumer(bootstrap_servers=broker.address, enable_auto_commit=False, check_crcs=True)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, offset)
    records = []
    deadline = time.monotonic() + PATIENCE
    while len(records) < count and time.monotonic() < deadline:
        for found in consumer.poll(timeout_ms=500).values():
            records += found
    consumer.close()
    return records


def round_trip(broker):
    create(broker, "round-trip")
    values = [f"value {i}" for i in range(3000)]
    produce(broker, "round-trip", values)
    records = consume(broker, "round-trip", 3000)
    equal([r.value.decode() for r in records], values, "values")
    equal((records[7].key, list(records[7].headers)), (b"key 7", [("number", b"7")]), "key and headers")


def compression(broker):
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        create(broker, f"codec-{codec}")
        values = [f"value {i} " + "x" * 200 for i in range(1000)]
        produce(broker, f"codec-{codec}", values, compression_type=codec, linger_ms=20)
        equal([r.value.decode() for r in consume(broker, f"codec-{codec}", 1000)], values, codec)


def member_loop(broker, topic):
    def loop(name, stop, members):
        consumer = KafkaConsumer(topic, bootstrap_servers=broker.address, group_id="group",
                                 auto_offset_reset="earliest", enable_auto_commit=False, session_timeout_ms=30000,
                                 heartbeat_interval_ms=200)
        while not stop.is_set():
            for found in consumer.poll(timeout_ms=100).values():
                for record in found:
                    members.record(record.value.decode())
                consumer.commit()
            members.assigned[name] = {p.partition for p in consumer.assignment()}
        consumer.close()
    return loop


def groups(broker):
    create(broker, "grouped", 4)
    rebalance_trial(member_loop(broker, "grouped"), lambda values: produce(broker, "grouped", values))


def seek_by_time(broker):
    create(broker, "times", **{"message.timestamp.type": "CreateTime"})
    producer = KafkaProducer(bootstrap_servers=broker.address, linger_ms=50)
    for i in range(100):
        producer.send("times", f"value {i}".encode(), timestamp_ms=1_700_000_000_000 + i * 1000)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=broker.address)
    partition = TopicPartition("times", 0)
    found = consumer.offsets_for_times({partition: 1_700_000_042_500})[partition]
    equal((found.offset, found.timestamp), (43, 1_700_000_043_000), "offset by time")
    equal(consumer.beginning_offsets([partition])[partition], 0, "beginning")
    equal(consumer.end_offsets([partition])[partition], 100, "end")
    equal(consumer.offsets_for_times({partition: 1_900_000_000_000})[partition], None, "offset after the end")
    consumer.close()
    equal(consume(broker, "times", 1, found.offset)[0].value, b"value 43", "record by time")


def administration(broker):
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.create_topics([NewTopic("admin", 2, 1, topic_configs={"retention.ms": "100000"})])
    assert "admin" in admin.list_topics()
    assert "100000" in str(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "admin")]))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, "admin", {"retention.ms": "5000"})])
    described = str(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "admin")]))
    assert "5000" in described and "100000" not in described, described
    admin.create_partitions({"admin": NewPartitions(3)})
    equal(len(admin.describe_topics(["admin"])[0]["partitions"]), 3, "topic partitions")
    produce(broker, "admin", [f"v{i}" for i in range(300)])
    partition = TopicPartition("admin", 0)
    admin.delete_records({partition: 5})
    consumer = KafkaConsumer("admin", bootstrap_servers=broker.address, group_id="admin-group",
                             auto_offset_reset="earliest")
    equal(consumer.beginning_offsets([partition])[partition], 5, "beginning after delete_records")
    until("the consumer is assigned", lambda: consumer.poll(timeout_ms=200) and consumer.assignment())
    consumer.commit()
    assert "admin-group" in str(admin.list_groups() if hasattr(admin, "list_groups") else admin.list_consumer_groups())
    offsets = (admin.list_group_offsets if hasattr(admin, "list_group_offsets")
               else admin.list_consumer_group_offsets)("admin-group")
    assert offsets, "no committed offsets"
    consumer.close()
    (admin.delete_groups if hasattr(admin, "delete_groups") else admin.delete_consumer_groups)(["admin-group"])
    admin.delete_topics(["admin"])
    assert "admin" not in admin.list_topics()
    assert admin.describe_cluster()
    admin.close()


def tools(broker):
    """What consoles and monitors ask beside the above."""
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.create_topics([NewTopic("tools", 2, 1), NewTopic("other", 1, 1)])
    produce(broker, "tools", [f"v{i} " + "x" * 1000 for i in range(500)], enable_idempotence=True)
    sizes = {}
    brokers = admin.describe_log_dirs()
    equal([broker["broker"] for broker in brokers], [1], "brokers")
    folders = brokers[0]["log_dirs"]
    for folder in folders:
        for topic in folder["topics"]:
            for partition in topic["partitions"]:
                sizes[topic["name"], partition["partition_index"]] = partition["partition_size"]
    here = {}
    for topic, index in sizes:
        path = f"{broker.folder.name}/data/{topic}-{index}"
        here[topic, index] = sum(os.path.getsize(f"{path}/{name}") for name in os.listdir(path) if name.endswith(".log"))
    equal(sizes, here, "sizes of the log segments")
    equal(("other", 0) in sizes and sizes["tools", 0] + sizes["tools", 1] > 500_000, True, "sizes")
    equal((len(folders), folders[0]["log_dir"]), (1, broker.folder.name + "/data"), "folders")
    space = shutil.disk_usage(broker.folder.name)
    equal(folders[0]["total_bytes"], space.total, "size of the file system")
    equal(0 <= folders[0]["usable_bytes"] <= space.total, True, "free bytes")
    equal(not admin.list_partition_reassignments(), True, "reassignments under way")
    equal(admin.list_transactions(), {1: []}, "transactions")
    producers = str(admin.describe_producers([TopicPartition("tools", 0)]))
    assert "producer_id" in producers, producers
    try:
        found = admin.describe_acls(ACLFilter(None, "*", ACLOperation.ANY, ACLPermissionType.ANY,
                                              ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)))
        raise AssertionError(f"there are access rules: {found}")
    except kafka.errors.SecurityDisabledError:
        pass
    consumer = KafkaConsumer("tools", bootstrap_servers=broker.address, group_id="tools-group",
                             auto_offset_reset="earliest")
    until("the consumer is assigned", lambda: consumer.poll(timeout_ms=200) and consumer.assignment())
    consumer.commit()
    consumer.close()
    places = [TopicPartition("tools", 0)]
    equal(len(admin.list_group_offsets("tools-group")["tools-group"]), 2, "committed offsets")
    admin.delete_group_offsets("tools-group", places)
    equal(len(admin.list_group_offsets("tools-group")["tools-group"]), 1, "committed offsets left")
    admin.close()


def refusals(broker):
    """Who wants transactions is told so by an error, and need not wait for a time limit."""
    producer = KafkaProducer(bootstrap_servers=broker.address, transactional_id="t")
    try:
        producer.init_transactions()
        raise AssertionError("there are transactions")
    except kafka.errors.TransactionalIdAuthorizationFailedError:
        pass


def idempotence(broker):
    create(broker, "idempotent")
    values = [f"value {i}" for i in range(2000)]
    produce(broker, "idempotent", values, enable_idempotence=True)
    equal([r.value.decode() for r in consume(broker, "idempotent", 2000)], values, "values")


def restart(broker):
    """The broker is killed while an idempotent producer and a group member are at work."""
    create(broker, "restart")
    total = 2000
    producer = KafkaProducer(bootstrap_servers=broker.address, enable_idempotence=True, linger_ms=5,
                             reconnect_backoff_max_ms=500, delivery_timeout_ms=PATIENCE * 1000)
    consumer = KafkaConsumer("restart", bootstrap_servers=broker.address, group_id="restart-group",
                             auto_offset_reset="earliest", reconnect_backoff_max_ms=500)
    seen = []
    done = threading.Event()

    def read():
        while not done.is_set():
            for found in consumer.poll(timeout_ms=100).values():
                seen.extend((r.offset, r.value.decode()) for r in found)
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    futures = []
    for i in range(total):
        futures.append(producer.send("restart", f"value {i}".encode()))
        if i % 20 == 0:
            time.sleep(0.01)
        if i == total // 2:
            until("the reader follows", lambda: len(seen) > total // 4)
            broker.kill()
            broker.start()
    for future in futures:
        future.get(PATIENCE)
    until("everything is read", lambda: len({offset for offset, _ in seen}) >= total)
    done.set()
    thread.join(PATIENCE)
    consumer.close()
    producer.close()
    by_offset = {}
    for offset, value in seen:
        equal(by_offset.setdefault(offset, value), value, f"record at {offset}")
    equal([by_offset[o] for o in sorted(by_offset)], [f"value {i}" for i in range(total)], "values, each once")


broker = Broker(sys.argv[1]).start()
report = Report("kafka-python", kafka.__version__)
try:
    report.run("produce and consume", round_trip, broker)
    report.run("compression", compression, broker)
    report.run("groups, eager", groups, broker)
    report.run("seek by time", seek_by_time, broker)
    report.run("administration", administration, broker)
    report.run("tools", tools, broker)
    report.run("refusals", refusals, broker)
    report.run("idempotence", idempotence, broker)
    report.run("kill -9 in the middle", restart, broker)
finally:
    broker.close()
report.print()
