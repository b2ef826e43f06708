package kairos.peers;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The rings on Kafka Streams: one thread, a key-value store in memory or on RocksDB, the processor API. */
public final class KafkaStreamsRings {
  private static final String STORE = "rings";
  private static final int PARTITIONS_MAX = 64;
  private static final long[] HORIZONS = new long[PARTITIONS_MAX];
  private static final CountDownLatch ENOUGH = new CountDownLatch(1);

  private KafkaStreamsRings() {}

  public static void main(String[] args) throws Exception {
    Options options = Options.of(args);
    Meter.open(options.get("marks"));
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(store(options.get("store").equals("rocksdb"), options.get("changelog").equals("on")));
    UsageReader reader = new UsageReader(Integer.parseInt(options.get("schema-id")), Path.of(options.get("schema")));
    builder.stream(options.get("topic"), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .process(() -> new Judging(reader), STORE)
        .to(options.get("findings"), Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
    KafkaStreams streams = new KafkaStreams(builder.build(), settings(options));
    streams.start();
    ENOUGH.await();
    streams.close(Duration.ofSeconds(60));
    StringBuilder line = new StringBuilder("done");
    for (int i = 0; i < PARTITIONS_MAX; i++) {
      if (HORIZONS[i] != 0) {
        line.append(' ').append(i).append(':').append(HORIZONS[i]);
      }
    }
    System.out.println(line);
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  private static StoreBuilder<KeyValueStore<Long, byte[]>> store(boolean onDisk, boolean isLogged) {
    StoreBuilder<KeyValueStore<Long, byte[]>> found =
        Stores.keyValueStoreBuilder(
            onDisk ? Stores.persistentKeyValueStore(STORE) : Stores.inMemoryKeyValueStore(STORE),
            Serdes.Long(),
            Serdes.ByteArray());
    if (onDisk) {
      found = found.withCachingEnabled();
    }
    return isLogged ? found.withLoggingEnabled(Map.of()) : found.withLoggingDisabled();
  }

  private static Properties settings(Options options) {
    Properties found = new Properties();
    found.put("application.id", options.get("group"));
    found.put("bootstrap.servers", options.get("bootstrap"));
    found.put("state.dir", options.get("dir"));
    found.put("num.stream.threads", "1");
    found.put("auto.offset.reset", "earliest");
    found.put("replication.factor", "1");
    found.put("commit.interval.ms", options.get("interval-ms"));
    found.put("statestore.cache.max.bytes", String.valueOf(100 * 1024 * 1024));
    found.put("max.poll.records", "5000");
    found.put("max.partition.fetch.bytes", String.valueOf(4 * 1024 * 1024));
    found.put("producer.linger.ms", "50");
    found.put("producer.compression.type", "lz4");
    return found;
  }

  private static final class Judging implements Processor<byte[], byte[], byte[], byte[]> {
    private final UsageReader reader;
    private KeyValueStore<Long, byte[]> rings;
    private ProcessorContext<byte[], byte[]> context;
    private final int[] state = new int[Rings.WORDS];
    private int partition;

    Judging(UsageReader reader) {
      this.reader = reader;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
      context = given;
      partition = given.taskId().partition();
      rings = given.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      if (ENOUGH.getCount() == 0) {
        return;
      }
      if (!read(record.value())) {
        return;
      }
      long customer = reader.customerId;
      long occurredAt = reader.occurredAt;
      byte[] held = rings.get(customer);
      if (held == null) {
        held = new byte[4 * Rings.WORDS];
        Meter.newCustomer();
      }
      ints(held).get(state);
      int result = Rings.add(state, occurredAt, reader.isVoice, reader.quantity, reader.chargeFen);
      ints(held).put(state);
      rings.put(customer, held);
      if (result >> 16 != 0) {
        tell(record, customer, result, occurredAt);
      }
      HORIZONS[partition] = occurredAt;
      if (!Meter.event()) {
        ENOUGH.countDown();
      }
    }

    private static IntBuffer ints(byte[] held) {
      return ByteBuffer.wrap(held).order(ByteOrder.nativeOrder()).asIntBuffer();
    }

    private boolean read(byte[] value) {
      try {
        return reader.read(value);
      } catch (IOException exc) {
        throw new UncheckedIOException(exc);
      }
    }

    private void tell(Record<byte[], byte[]> record, long customer, int result, long occurredAt) {
      for (int rule = Rings.FALL; rule <= Rings.RICH; rule <<= 1) {
        if ((result >> 16 & rule) != 0) {
          String finding = Rings.finding(customer, rule, (result & rule) != 0, occurredAt);
          context.forward(record.withValue(finding.getBytes(StandardCharsets.UTF_8)));
        }
      }
    }
  }
}
