"""aiokafka: asyncio, with a consumer group protocol of its own."""

import asyncio
import sys

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from harness import PATIENCE, Broker, Report, equal, rebalance_trial


async def create(broker, topic, partitions=1, **config):
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])
    await admin.close()


async def produce(broker, topic, values, **settings):
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, acks="all", **settings)
    await producer.start()
    futures = [await producer.send(topic, value.encode(), key=f"key {i}".encode(),
                                   headers=[("number", str(i).encode())]) for i, value in enumerate(values)]
    await asyncio.wait_for(asyncio.gather(*futures), PATIENCE)
    await producer.stop()


async def consume(broker, topic, count, offset=0):
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.address, enable_auto_commit=False, check_crcs=True)
    await consumer.start()
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, offset)
    records = []
    async with asyncio.timeout(PATIENCE):
        while len(records) < count:
            for found in (await consumer.getmany(timeout_ms=500)).values():
                records += found
    await consumer.stop()
    return records


async def round_trip(broker):
    await create(broker, "round-trip")
    values = [f"value {i}" for i in range(3000)]
    await produce(broker, "round-trip", values)
    records = await consume(broker, "round-trip", 3000)
    equal([r.value.decode() for r in records], values, "values")
    equal((records[7].key, list(records[7].headers)), (b"key 7", [("number", b"7")]), "key and headers")


async def compression(broker):
    for codec in ["gzip", "snappy", "lz4", "zstd"]:
        await create(broker, f"codec-{codec}")
        values = [f"value {i} " + "x" * 200 for i in range(1000)]
        await produce(broker, f"codec-{codec}", values, compression_type=codec, linger_ms=20)
        equal([r.value.decode() for r in await consume(broker, f"codec-{codec}", 1000)], values, codec)


def member_loop(broker, topic):
    async def member(name, stop, members):
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker.address, group_id="group",
                                    auto_offset_reset="earliest", enable_auto_commit=False, session_timeout_ms=30000,
                                    heartbeat_interval_ms=200)
        await consumer.start()
        while not stop.is_set():
            found = await consumer.getmany(timeout_ms=100)
            for records in found.values():
                for record in records:
                    members.record(record.value.decode())
            if found:
                await consumer.commit()
            members.assigned[name] = {p.partition for p in consumer.assignment()}
        await consumer.stop()
    return lambda name, stop, members: asyncio.run(member(name, stop, members))


def groups(broker):
    asyncio.run(create(broker, "grouped", 4))
    rebalance_trial(member_loop(broker, "grouped"),
                    lambda values: asyncio.run(produce(broker, "grouped", values)))


async def seek_by_time(broker):
    await create(broker, "times", **{"message.timestamp.type": "CreateTime"})
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, linger_ms=50)
    await producer.start()
    for i in range(100):
        await producer.send("times", f"value {i}".encode(), timestamp_ms=1_700_000_000_000 + i * 1000)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.address)
    await consumer.start()
    partition = TopicPartition("times", 0)
    found = (await consumer.offsets_for_times({partition: 1_700_000_042_500}))[partition]
    equal((found.offset, found.timestamp), (43, 1_700_000_043_000), "offset by time")
    equal((await consumer.beginning_offsets([partition]))[partition], 0, "beginning")
    equal((await consumer.end_offsets([partition]))[partition], 100, "end")
    await consumer.stop()
    equal((await consume(broker, "times", 1, found.offset))[0].value, b"value 43", "record by time")


async def administration(broker):
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic("admin", 2, 1, topic_configs={"retention.ms": "100000"})])
    assert "admin" in await admin.list_topics()
    assert "100000" in str(await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "admin")]))
    await admin.create_partitions({"admin": NewPartitions(3)})
    equal(len((await admin.describe_topics(["admin"]))[0]["partitions"]), 3, "topic partitions")
    consumer = AIOKafkaConsumer("admin", bootstrap_servers=broker.address, group_id="admin-group")
    await consumer.start()
    assert "admin-group" in str(await admin.list_consumer_groups())
    assert "Stable" in str(await admin.describe_consumer_groups(["admin-group"]))
    await consumer.stop()
    await admin.delete_topics(["admin"])
    assert "admin" not in await admin.list_topics()
    await admin.close()


async def idempotence(broker):
    await create(broker, "idempotent")
    values = [f"value {i}" for i in range(2000)]
    await produce(broker, "idempotent", values, enable_idempotence=True)
    equal([r.value.decode() for r in await consume(broker, "idempotent", 2000)], values, "values")


async def restart(broker):
    """The broker is killed while an idempotent producer and a group member are at work."""
    await create(broker, "restart")
    total = 2000
    producer = AIOKafkaProducer(bootstrap_servers=broker.address, enable_idempotence=True, linger_ms=5,
                                request_timeout_ms=PATIENCE * 1000)
    consumer = AIOKafkaConsumer("restart", bootstrap_servers=broker.address, group_id="restart-group",
                                auto_offset_reset="earliest")
    await producer.start()
    await consumer.start()
    seen = []

    async def read():
        while len({offset for offset, _ in seen}) < total:
            for found in (await consumer.getmany(timeout_ms=100)).values():
                seen.extend((r.offset, r.value.decode()) for r in found)
    reader = asyncio.create_task(read())
    futures = []
    for i in range(total):
        futures.append(await producer.send("restart", f"value {i}".encode()))
        if i % 20 == 0:
            await asyncio.sleep(0.01)
        if i == total // 2:
            broker.kill()
            await asyncio.to_thread(broker.start)
    await asyncio.wait_for(asyncio.gather(*futures), PATIENCE)
    await asyncio.wait_for(reader, PATIENCE)
    await consumer.stop()
    await producer.stop()
    by_offset = {}
    for offset, value in seen:
        equal(by_offset.setdefault(offset, value), value, f"record at {offset}")
    equal([by_offset[o] for o in sorted(by_offset)], [f"value {i}" for i in range(total)], "values, each once")


broker = Broker(sys.argv[1]).start()
report = Report("aiokafka", aiokafka.__version__)


def run(name, feature):
    report.run(name, lambda: asyncio.run(feature(broker)))


try:
    run("produce and consume", round_trip)
    run("compression", compression)
    report.run("groups, eager", groups, broker)
    run("seek by time", seek_by_time)
    run("administration", administration)
    run("idempotence", idempotence)
    run("kill -9 in the middle", restart)
finally:
    broker.close()
report.print()
