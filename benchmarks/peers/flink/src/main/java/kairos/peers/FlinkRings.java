package kairos.peers;

import java.io.IOException;
import java.nio.file.Path;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;

/** The rings on Flink: one slot, heap state, checkpoints to files, object reuse. */
public final class FlinkRings {
  /** What travels to the keyed operator. */
  public static class Usage {
    public long customerId;
    public long occurredAt;
    public boolean isVoice;
    public long quantity;
    public long chargeFen;

    public Usage() {}
  }

  private FlinkRings() {}

  public static void main(String[] args) throws Exception {
    Options options = Options.of(args);
    Meter.open(options.get("marks"));
    Configuration settings = new Configuration();
    settings.setString("parallelism.default", "1");
    settings.setString("state.backend.type", "hashmap");
    settings.setString("pipeline.object-reuse", "true");
    settings.setString("taskmanager.memory.network.max", "128mb");
    settings.setString("execution.checkpointing.interval", options.get("interval-ms") + " ms");
    settings.setString("execution.checkpointing.dir", Path.of(options.get("dir")).toUri().toString());
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    KafkaSource<Usage> source =
        KafkaSource.<Usage>builder()
            .setBootstrapServers(options.get("bootstrap"))
            .setTopics(options.get("topic"))
            .setGroupId(options.get("group"))
            .setStartingOffsets(OffsetsInitializer.committedOffsets(OffsetResetStrategy.EARLIEST))
            .setBounded(OffsetsInitializer.latest())
            .setDeserializer(new Decoding(Integer.parseInt(options.get("schema-id")), options.get("schema")))
            .build();
    DataStream<String> findings =
        env.fromSource(source, WatermarkStrategy.noWatermarks(), "usage")
            .keyBy(usage -> usage.customerId, Types.LONG)
            .process(new Judging());
    findings.sinkTo(
        KafkaSink.<String>builder()
            .setBootstrapServers(options.get("bootstrap"))
            .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
            .setRecordSerializer(
                KafkaRecordSerializationSchema.builder()
                    .setTopic(options.get("findings"))
                    .setValueSerializationSchema(new SimpleStringSchema())
                    .build())
            .build());
    env.execute("rings");
    System.out.println("done");
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  private static final class Decoding implements KafkaRecordDeserializationSchema<Usage> {
    private final int schemaId;
    private final String schema;
    private transient UsageReader reader;

    Decoding(int schemaId, String schema) {
      this.schemaId = schemaId;
      this.schema = schema;
    }

    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Usage> out) throws IOException {
      if (reader == null) {
        reader = new UsageReader(schemaId, Path.of(schema));
      }
      if (!reader.read(record.value())) {
        return;
      }
      Usage usage = new Usage();
      usage.customerId = reader.customerId;
      usage.occurredAt = reader.occurredAt;
      usage.isVoice = reader.isVoice;
      usage.quantity = reader.quantity;
      usage.chargeFen = reader.chargeFen;
      out.collect(usage);
    }

    @Override
    public TypeInformation<Usage> getProducedType() {
      return TypeInformation.of(Usage.class);
    }
  }

  private static final class Judging extends KeyedProcessFunction<Long, Usage, String> {
    private transient ValueState<int[]> rings;

    @Override
    public void open(OpenContext context) {
      rings =
          getRuntimeContext()
              .getState(new ValueStateDescriptor<>("rings", PrimitiveArrayTypeInfo.INT_PRIMITIVE_ARRAY_TYPE_INFO));
    }

    @Override
    public void processElement(Usage usage, Context context, Collector<String> out) throws Exception {
      int[] state = rings.value();
      if (state == null) {
        state = new int[Rings.WORDS];
        Meter.newCustomer();
      }
      int result = Rings.add(state, usage.occurredAt, usage.isVoice, usage.quantity, usage.chargeFen);
      rings.update(state);
      for (int rule = Rings.FALL; rule <= Rings.RICH; rule <<= 1) {
        if ((result >> 16 & rule) != 0) {
          out.collect(Rings.finding(usage.customerId, rule, (result & rule) != 0, usage.occurredAt));
        }
      }
      Meter.event();
    }
  }
}
