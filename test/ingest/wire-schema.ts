/**
 * The messages that the doors read and answer with, in protobuf's own language, for protobufjs: whatever writes or reads them in tests takes
 * them from here. Names that two formats share have the format in front.
 * https://github.com/prometheus/prometheus/tree/main/prompb (both dates of remote write 2.0: `created_timestamp` of rc.3, `start_timestamp` of rc.4),
 * https://github.com/grafana/loki/blob/main/pkg/push/push.proto, https://github.com/open-telemetry/opentelemetry-proto,
 * https://github.com/jaegertracing/jaeger-idl/blob/main/proto/api_v2/model.proto, https://github.com/openzipkin/zipkin-api/blob/master/zipkin.proto
 */
export const WIRE_SCHEMA = `
syntax = "proto3";
message WriteRequest { repeated TimeSeries1 timeseries = 1; repeated Metadata1 metadata = 3; }
message TimeSeries1 { repeated Label labels = 1; repeated Sample samples = 2; repeated Exemplar1 exemplars = 3; repeated Histogram histograms = 4; }
message Label { string name = 1; string value = 2; }
message Exemplar1 { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }
message Metadata1 { int32 type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }
message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
message Histogram {
  oneof count { uint64 count_int = 1; double count_float = 2; }
  double sum = 3; sint32 schema = 4; double zero_threshold = 5;
  oneof zero_count { uint64 zero_count_int = 6; double zero_count_float = 7; }
  repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9; repeated double negative_counts = 10;
  repeated BucketSpan positive_spans = 11; repeated sint64 positive_deltas = 12; repeated double positive_counts = 13;
  int32 reset_hint = 14; int64 timestamp = 15; repeated double custom_values = 16; int64 start_timestamp = 17;
}
message BucketSpan { sint32 offset = 1; uint32 length = 2; }

message Request { repeated bytes v1_series = 1; repeated bytes v1_metadata = 3; repeated string symbols = 4; repeated TimeSeries2 timeseries = 5; }
message TimeSeries2 {
  repeated uint32 labels_refs = 1; repeated Sample samples = 2; repeated Histogram histograms = 3; repeated Exemplar2 exemplars = 4;
  Metadata2 metadata = 5; int64 created_timestamp = 6;
}
message Exemplar2 { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
message Metadata2 { int32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }

message PushRequest { repeated Stream streams = 1; string format = 2; }
message Stream { string labels = 1; repeated Entry entries = 2; uint64 hash = 3; }
message Entry { Timestamp timestamp = 1; string line = 2; repeated Label structured_metadata = 3; repeated Label parsed = 4; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }

message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; ArrayValue array_value = 5;
    KeyValueList kvlist_value = 6; bytes bytes_value = 7;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
message KeyValue { string key = 1; AnyValue value = 2; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
message Scope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }

message TracesData { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; string schema_url = 3; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; string schema_url = 3; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9; uint32 dropped_attributes_count = 10;
  repeated Event events = 11; uint32 dropped_events_count = 12; repeated Link links = 13; uint32 dropped_links_count = 14; Status status = 15; fixed32 flags = 16;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Link { bytes trace_id = 1; bytes span_id = 2; }
message Status { string message = 2; int32 code = 3; }

message LogsData { repeated ResourceLogs resource_logs = 1; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; string schema_url = 3; }
message ScopeLogs { Scope scope = 1; repeated LogRecord log_records = 2; string schema_url = 3; }
message LogRecord {
  fixed64 time_unix_nano = 1; int32 severity_number = 2; string severity_text = 3; AnyValue body = 5; repeated KeyValue attributes = 6;
  uint32 dropped_attributes_count = 7; fixed32 flags = 8; bytes trace_id = 9; bytes span_id = 10; fixed64 observed_time_unix_nano = 11; string event_name = 12;
}

message MetricsData { repeated ResourceMetrics resource_metrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; string schema_url = 3; }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; string schema_url = 3; }
message Metric {
  string name = 1; string description = 2; string unit = 3;
  oneof data { Gauge gauge = 5; Sum sum = 7; OtlpHistogram histogram = 9; ExponentialHistogram exponential_histogram = 10; Summary summary = 11; }
  repeated KeyValue metadata = 12;
}
message Gauge { repeated NumberDataPoint data_points = 1; }
message Sum { repeated NumberDataPoint data_points = 1; int32 aggregation_temporality = 2; bool is_monotonic = 3; }
message OtlpHistogram { repeated HistogramDataPoint data_points = 1; int32 aggregation_temporality = 2; }
message ExponentialHistogram { repeated ExponentialHistogramDataPoint data_points = 1; int32 aggregation_temporality = 2; }
message Summary { repeated SummaryDataPoint data_points = 1; }
message NumberDataPoint {
  fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; oneof value { double as_double = 4; sfixed64 as_int = 6; }
  repeated OtlpExemplar exemplars = 5; repeated KeyValue attributes = 7; uint32 flags = 8;
}
message OtlpExemplar { fixed64 time_unix_nano = 2; oneof value { double as_double = 3; sfixed64 as_int = 6; } bytes span_id = 4; bytes trace_id = 5; repeated KeyValue filtered_attributes = 7; }
message HistogramDataPoint {
  fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; optional double sum = 5; repeated fixed64 bucket_counts = 6;
  repeated double explicit_bounds = 7; repeated OtlpExemplar exemplars = 8; repeated KeyValue attributes = 9; uint32 flags = 10;
  optional double min = 11; optional double max = 12;
}
message ExponentialHistogramDataPoint {
  repeated KeyValue attributes = 1; fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; optional double sum = 5;
  sint32 scale = 6; fixed64 zero_count = 7; Buckets positive = 8; Buckets negative = 9; uint32 flags = 10; repeated OtlpExemplar exemplars = 11;
  optional double min = 12; optional double max = 13; double zero_threshold = 14;
}
message Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
message SummaryDataPoint {
  fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4; double sum = 5; repeated Quantile quantile_values = 6;
  repeated KeyValue attributes = 7; uint32 flags = 8;
}
message Quantile { double quantile = 1; double value = 2; }

message JaegerSpan {
  bytes trace_id = 1; bytes span_id = 2; string operation_name = 3; repeated SpanRef references = 4; uint32 flags = 5; Timestamp start_time = 6;
  Timestamp duration = 7; repeated JaegerTag tags = 8; repeated JaegerLog logs = 9; Process process = 10; string process_id = 11; repeated string warnings = 12;
}
message SpanRef { bytes trace_id = 1; bytes span_id = 2; int32 ref_type = 3; }
message JaegerTag { string key = 1; int32 v_type = 2; string v_str = 3; bool v_bool = 4; int64 v_int64 = 5; double v_float64 = 6; bytes v_binary = 7; }
message JaegerLog { Timestamp timestamp = 1; repeated JaegerTag fields = 2; }
message Process { string service_name = 1; repeated JaegerTag tags = 2; }

message ListOfSpans { repeated ZipkinSpan spans = 1; }
message ZipkinSpan {
  bytes trace_id = 1; bytes parent_id = 2; bytes id = 3; int32 kind = 4; string name = 5; fixed64 timestamp = 6; uint64 duration = 7;
  Endpoint local_endpoint = 8; Endpoint remote_endpoint = 9; repeated Annotation annotations = 10; repeated ZipkinTag tags = 11; bool debug = 12; bool shared = 13;
}
message Endpoint { string service_name = 1; bytes ipv4 = 2; bytes ipv6 = 3; int32 port = 4; }
message Annotation { fixed64 timestamp = 1; string value = 2; }
message ZipkinTag { string key = 1; string value = 2; }

message ExportTraceServiceResponse { PartialSuccess partial_success = 1; }
message PartialSuccess { int64 rejected = 1; string error_message = 2; }
message RpcStatus { int32 code = 1; string message = 2; }
`
