"""confluent-kafka: librdkafka in its newest version."""

import sys
import threading
import time

import confluent_kafka
from confluent_kafka import Consumer, ElectionType, KafkaError, Producer, ShareConsumer, TopicPartition
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient,
                                   AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec,
                                   ResourcePatternType, ResourceType, ScramCredentialInfo, ScramMechanism,
                                   UserScramCredentialUpsertion)

from harness import PATIENCE, Broker, Report, equal, rebalance_trial, until

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


CLIENTS = {}  # an AdminClient that is not kept gives its requests up


def admin(broker):
    if broker.address not in CLIENTS:
        CLIENTS[broker.address] = AdminClient({"bootstrap.servers": broker.address})
    return CLIENTS[broker.address]


def wait(futures):
    return {key: future.result(PATIENCE) for key, future in futures.items()}


def create(broker, topic, partitions=1, **config):
    wait(admin(broker).create_topics([NewTopic(topic, partitions, 1, config=config)]))


def produce(broker, topic, values, **settings):
    errors = []
    producer = Producer({"bootstrap.servers": broker.address, **settings})
    for number, value in enumerate(values):
        producer.produce(topic, value, key=f"key {number}", headers=[("number", str(number)), ("none", None)],
                         on_delivery=lambda error, _: errors.append(error) if error else None)
        producer.poll(0)
    equal(producer.flush(PATIENCE), 0, "records not acknowledged")
    equal(errors, [], "failed deliveries")


def consume(broker, topic, count, start=None, partition=0):
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "reader", "enable.auto.commit": False,
                         "check.crcs": True})
    consumer.assign([TopicPartition(topic, partition, confluent_kafka.OFFSET_BEGINNING if start is None else start)])
    messages = []
    deadline = time.monotonic() + PATIENCE
    while len(messages) < count and time.monotonic() < deadline:
        messages += [m for m in consumer.consume(1000, 0.5) if not m.error()]
    consumer.close()
    return messages


def round_trip(broker):
    create(broker, "round-trip")
    values = [f"value {i}" for i in range(5000)]
    produce(broker, "round-trip", values)
    messages = consume(broker, "round-trip", 5000)
    equal([m.value().decode() for m in messages], values, "values")
    equal(messages[7].headers(), [("number", b"7"), ("none", None)], "headers")
    equal(messages[7].key(), b"key 7", "key")


def compression(broker):
    for codec in CODECS:
        create(broker, f"codec-{codec}")
        values = [f"value {i} " + "x" * 200 for i in range(2000)]
        produce(broker, f"codec-{codec}", values, **{"compression.type": codec, "linger.ms": 20})
        messages = consume(broker, f"codec-{codec}", 2000)
        equal([m.value().decode() for m in messages], values, codec)


def try_commit(consumer, uncommitted):
    """While the leader assigns, a commit is refused, with Kafka as well: it is tried again after the next poll."""
    if not uncommitted:
        return
    try:
        consumer.commit(offsets=[TopicPartition(m.topic(), m.partition(), m.offset() + 1)
                                 for m in uncommitted.values()], asynchronous=False)
        uncommitted.clear()
    except confluent_kafka.KafkaException as error:
        # A member of a cooperative group keeps reading while the group moves on to its next generation; it commits again then.
        if error.args[0].code() not in (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION):
            raise


def member_loop(broker, topic, strategy):
    def loop(name, stop, members):
        owned = set()
        uncommitted = {}
        consumer = Consumer({"bootstrap.servers": broker.address, "group.id": f"group-{strategy}",
                             "auto.offset.reset": "earliest", "enable.auto.commit": False,
                             "partition.assignment.strategy": strategy, "session.timeout.ms": 30000,
                             "heartbeat.interval.ms": 200})

        def assigned(_, partitions):
            owned.update(p.partition for p in partitions)
            members.assigned[name] = set(owned)

        def revoked(_, partitions):
            try_commit(consumer, uncommitted)
            owned.difference_update(p.partition for p in partitions)
            members.assigned[name] = set(owned)

        consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
        while not stop.is_set():
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                members.record(message.value().decode())
                uncommitted[message.partition()] = message
            try_commit(consumer, uncommitted)
        consumer.close()
    return loop


def groups(broker, strategy):
    topic = "group-" + strategy
    create(broker, topic, 4)
    rebalance_trial(member_loop(broker, topic, strategy), lambda values: produce(broker, topic, values))


def static_membership(broker):
    """A static member that restarts within its session gets its topic partitions back, and nobody rebalances."""
    create(broker, "static", 2)
    assignments = []

    def member(instance):
        consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "static-group",
                             "group.instance.id": instance, "session.timeout.ms": 30000, "heartbeat.interval.ms": 200,
                             "partition.assignment.strategy": "range"})
        consumer.subscribe(["static"], on_assign=lambda _, p: assignments.append((instance, [x.partition for x in p])))
        return consumer

    a, b = member("one"), member("two")

    def both():
        a.poll(0.1), b.poll(0.1)
        return len(a.assignment()) == 1 and len(b.assignment()) == 1
    until("both are assigned", both)
    before = b.assignment()[0].partition
    b.close()  # a static member does not leave
    count = len([x for x in assignments if x[0] == "one"])
    b = member("two")

    def again():
        a.poll(0.1), b.poll(0.1)
        return len(b.assignment()) == 1
    until("the second is back", again)
    equal(b.assignment()[0].partition, before, "the second member's topic partition")
    equal(len([x for x in assignments if x[0] == "one"]), count, "assignments of the first member")

    # A second holder of the same instance id fences the first one.
    usurper = member("two")
    fenced = []

    def is_fenced():
        usurper.poll(0.1), a.poll(0.1)
        try:
            message = b.poll(0.1)
            if message is not None and message.error():
                fenced.append(message.error().code())
        except confluent_kafka.KafkaException as error:
            fenced.append(error.args[0].code())
        return bool(fenced)
    until("the first holder is fenced", is_fenced)
    if not {KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL} & set(fenced):
        raise AssertionError(f"fenced with {fenced}")
    for consumer in (a, usurper):
        consumer.close()


def seek_by_time(broker):
    create(broker, "times", **{"message.timestamp.type": "CreateTime"})
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 50})
    for i in range(100):
        producer.produce("times", f"value {i}", timestamp=1_700_000_000_000 + i * 1000)
    producer.flush(PATIENCE)
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "reader"})
    found = consumer.offsets_for_times([TopicPartition("times", 0, 1_700_000_042_500)], PATIENCE)
    equal(found[0].offset, 43, "offset by time")
    equal(consume(broker, "times", 1, start=found[0].offset)[0].value(), b"value 43", "record by time")
    late = consumer.offsets_for_times([TopicPartition("times", 0, 1_900_000_000_000)], PATIENCE)
    equal(late[0].offset, confluent_kafka.OFFSET_END, "offset after the end")
    equal(consumer.get_watermark_offsets(TopicPartition("times", 0), PATIENCE), (0, 100), "watermarks")
    newest = wait(admin(broker).list_offsets({TopicPartition("times", 0): OffsetSpec.max_timestamp()}))
    equal(list(newest.values())[0].offset, 99, "largest time")
    # Several batches; within one, times that fall, that are equal, and the largest twice.
    batches = [[0, 10, 5, 5, 90], [3, 90, 2, 1, 0], [200, 100, 200, 150, 120]]
    for codec in CODECS:
        topic = f"times-{codec}"
        create(broker, topic, **{"message.timestamp.type": "CreateTime"})
        base = 1_700_000_000_000
        for batch in batches:
            producer = Producer({"bootstrap.servers": broker.address, "compression.type": codec, "linger.ms": 200})
            for delta in batch:
                producer.produce(topic, b"some text that repeats " * 5, timestamp=base + delta)
            equal(producer.flush(PATIENCE), 0, "records not acknowledged")
        flat = [delta for batch in batches for delta in batch]
        for asked in [0, 1, 5, 6, 11, 90, 91, 151, 200]:
            # The first record that is not older, in the order of offsets.
            right = next(offset for offset, delta in enumerate(flat) if delta >= asked)
            found = consumer.offsets_for_times([TopicPartition(topic, 0, base + asked)], PATIENCE)[0].offset
            equal(found, right, f"{codec}: the first record at or after +{asked}")
        newest = list(wait(admin(broker).list_offsets({TopicPartition(topic, 0): OffsetSpec.max_timestamp()})).values())
        equal((newest[0].offset, newest[0].timestamp - base), (10, 200), f"{codec}: largest time")
    consumer.close()


def administration(broker):
    client = admin(broker)
    create(broker, "admin", 2, **{"retention.ms": "100000"})
    resource = ConfigResource(ConfigResource.Type.TOPIC, "admin")
    entries = wait(client.describe_configs([resource]))[resource]
    equal(entries["retention.ms"].value, "100000", "retention.ms")
    change = ConfigResource(ConfigResource.Type.TOPIC, "admin", incremental_configs=[
        ConfigEntry("retention.ms", "5000", incremental_operation=AlterConfigOpType.SET),
        ConfigEntry("retention.bytes", "123456", incremental_operation=AlterConfigOpType.SET)])
    wait(client.incremental_alter_configs([change]))
    entries = wait(client.describe_configs([resource]))[resource]
    equal([entries["retention.ms"].value, entries["retention.bytes"].value], ["5000", "123456"], "changed settings")
    wait(client.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, "admin", incremental_configs=[
        ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE)])]))
    equal(wait(client.describe_configs([resource]))[resource]["retention.ms"].value, "-1", "retention.ms unset")
    broker_entries = wait(client.describe_configs([ConfigResource(ConfigResource.Type.BROKER, "1")]))
    assert list(broker_entries.values())[0]["num.partitions"].value

    wait(client.create_partitions([NewPartitions("admin", 4)]))
    equal(len(client.list_topics("admin", PATIENCE).topics["admin"].partitions), 4, "topic partitions")
    produce(broker, "admin", [f"v{i}" for i in range(400)])
    ends = wait(client.list_offsets({TopicPartition("admin", p): OffsetSpec.latest() for p in range(4)}))
    equal(sum(info.offset for info in ends.values()), 400, "records in all")
    partition, end = next((p, info.offset) for p, info in ends.items() if info.offset > 10)
    left = wait(client.delete_records([TopicPartition("admin", partition.partition, 5)]))
    equal(list(left.values())[0].low_watermark, 5, "low watermark")
    rest = consume(broker, "admin", end - 5, partition=partition.partition)
    equal(rest[0].offset(), 5, "first offset left")

    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "admin-group",
                         "auto.offset.reset": "earliest"})
    consumer.subscribe(["admin"])
    until("the consumer is assigned", lambda: consumer.poll(0.1) is not None)
    consumer.commit(asynchronous=False)
    listed = client.list_consumer_groups(request_timeout=PATIENCE).result(PATIENCE)
    equal({g.group_id: g.state.name for g in listed.valid}.get("admin-group"), "STABLE", "state of the group")
    described = wait(client.describe_consumer_groups(["admin-group"]))["admin-group"]
    equal((described.state.name, len(described.members)), ("STABLE", 1), "described group")
    equal(len(described.members[0].assignment.topic_partitions), 4, "described assignment")
    consumer.close()
    wait(client.delete_consumer_groups(["admin-group"]))
    listed = client.list_consumer_groups(request_timeout=PATIENCE).result(PATIENCE)
    assert "admin-group" not in {g.group_id for g in listed.valid}
    cluster = client.describe_cluster(request_timeout=PATIENCE).result(PATIENCE)
    equal([(n.id, n.port) for n in cluster.nodes], [(1, broker.port)], "nodes")
    wait(client.delete_topics(["admin"], operation_timeout=PATIENCE))
    assert "admin" not in client.list_topics(timeout=PATIENCE).topics


def tools(broker):
    """What consoles ask beside the above: an answer, or a refusal that says what there is not."""
    client = admin(broker)
    create(broker, "tools", 2)
    elected = client.elect_leaders(ElectionType.PREFERRED, [TopicPartition("tools", 0), TopicPartition("none", 0)])
    codes = {p.topic: e.code() for p, e in elected.result(PATIENCE).items()}
    equal(codes, {"tools": KafkaError.ELECTION_NOT_NEEDED, "none": KafkaError.UNKNOWN_TOPIC_OR_PART}, "elections")
    resource = ConfigResource(ConfigResource.Type.TOPIC, "tools", set_config={"retention.ms": "7000"})
    wait(client.alter_configs([resource]))
    wait(client.alter_configs([ConfigResource(ConfigResource.Type.TOPIC, "tools",
                                              set_config={"retention.bytes": "9000"})]))
    entries = wait(client.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, "tools")]))
    entries = list(entries.values())[0]
    equal([entries["retention.ms"].value, entries["retention.bytes"].value], ["-1", "9000"], "replaced settings")

    def code(call):
        try:
            found = call()
            return found.result(PATIENCE) if hasattr(found, "result") else [f.result(PATIENCE) for f in found.values()]
        except confluent_kafka.KafkaException as error:
            return error.args[0].code()
    anything = AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY,
                                AclPermissionType.ANY)
    one = AclBinding(ResourceType.TOPIC, "tools", ResourcePatternType.LITERAL, "User:a", "*", AclOperation.READ,
                     AclPermissionType.ALLOW)
    # librdkafka does not look at the reply's error code here; kafka-python's trial does.
    equal(code(lambda: client.describe_acls(anything)), [], "describe_acls")
    equal(code(lambda: client.create_acls([one])), KafkaError.SECURITY_DISABLED, "create_acls")
    equal(code(lambda: client.delete_acls([anything])), KafkaError.SECURITY_DISABLED, "delete_acls")
    equal(code(lambda: client.describe_user_scram_credentials()), {}, "users")
    equal(code(lambda: client.describe_user_scram_credentials(["a"])), KafkaError.RESOURCE_NOT_FOUND, "a user")
    equal(code(lambda: client.alter_user_scram_credentials([UserScramCredentialUpsertion(
        "a", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), b"secret")])), KafkaError.RESOURCE_NOT_FOUND,
        "a new user")


def refusals(broker):
    """Who wants what is not there is told so by an error, and need not wait for a time limit."""
    create(broker, "refusals")
    producer = Producer({"bootstrap.servers": broker.address, "transactional.id": "t"})
    try:
        producer.init_transactions(PATIENCE)
        raise AssertionError("there are transactions")
    except confluent_kafka.KafkaException as error:
        equal(error.args[0].code(), KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "init_transactions")
        equal((error.args[0].fatal(), error.args[0].retriable()), (True, False), "fatal and retriable")

    def first_error(consumer):
        errors = []

        def has_error():
            try:
                for message in [consumer.poll(0.1)] if hasattr(consumer, "assignment") else consumer.poll(0.1):
                    if message is not None and message.error():
                        errors.append(message.error())
            except confluent_kafka.KafkaException as error:
                errors.append(error.args[0])
            return bool(errors)
        until("the consumer has an error", has_error)
        return errors[0]
    for kind, settings in ((Consumer, {"group.protocol": "consumer"}), (ShareConsumer, {})):
        consumer = kind({"bootstrap.servers": broker.address, "group.id": kind.__name__, **settings})
        consumer.subscribe(["refusals"])
        error = first_error(consumer)
        if KafkaError._FATAL != error.code() and not error.fatal() or "not supported" not in error.str():
            raise AssertionError(f"{kind.__name__}: {error}")
        consumer.close()
    # The broker lives, and classic groups do as well.
    produce(broker, "refusals", ["value"])
    equal(consume(broker, "refusals", 1)[0].value(), b"value", "value")


def idempotence(broker):
    create(broker, "idempotent")
    values = [f"value {i}" for i in range(3000)]
    produce(broker, "idempotent", values, **{"enable.idempotence": True, "compression.type": "lz4"})
    equal([m.value().decode() for m in consume(broker, "idempotent", 3000)], values, "values")


def restart(broker):
    """The broker is killed twice while an idempotent producer and a group member are at work."""
    create(broker, "restart", 2)
    total = 6000
    errors = []
    producer = Producer({"bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 5,
                         "reconnect.backoff.max.ms": 500, "message.timeout.ms": 120000})
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "restart-group",
                         "auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 500})
    consumer.subscribe(["restart"])
    seen = []
    done = threading.Event()

    def read():
        while not done.is_set():
            message = consumer.poll(0.1)
            if message is not None and not message.error():
                seen.append((message.partition(), message.offset(), message.value().decode()))
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    for i in range(total):
        producer.produce("restart", f"value {i}", partition=i % 2,
                         on_delivery=lambda error, _: errors.append(error) if error else None)
        producer.poll(0)
        if i % 20 == 0:
            time.sleep(0.005)
        if i in (2000, 4000):
            until("the reader follows", lambda: len(seen) > i // 4)
            broker.kill()
            broker.start()
    equal(producer.flush(PATIENCE * 2), 0, "records not acknowledged")
    equal(errors, [], "failed deliveries")
    until("everything is read", lambda: len({x[:2] for x in seen}) >= total)
    done.set()
    thread.join(PATIENCE)
    consumer.close()
    for partition in range(2):
        # Read again after a restart at worst, but always the same record at the same place.
        by_offset = {}
        for p, offset, value in seen:
            if p == partition:
                equal(by_offset.setdefault(offset, value), value, f"record at {offset}")
        equal([by_offset[o] for o in sorted(by_offset)], [f"value {i}" for i in range(partition, total, 2)],
              "values in order, each once")


broker = Broker(sys.argv[1]).start()
report = Report("confluent-kafka", confluent_kafka.__version__)
try:
    report.run("produce and consume", round_trip, broker)
    report.run("compression", compression, broker)
    report.run("groups, eager", groups, broker, "roundrobin")
    report.run("groups, cooperative", groups, broker, "cooperative-sticky")
    report.run("static membership", static_membership, broker)
    report.run("seek by time", seek_by_time, broker)
    report.run("administration", administration, broker)
    report.run("tools", tools, broker)
    report.run("refusals", refusals, broker)
    report.run("idempotence", idempotence, broker)
    report.run("kill -9 in the middle", restart, broker)
finally:
    broker.close()
report.print()
