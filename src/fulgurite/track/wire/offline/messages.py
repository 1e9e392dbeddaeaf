"""The messages of a ``.wandb`` file, as far as they are read, and the classes that parse them.

Names, numbers and types are those of the client's own messages; what is not named here is skipped in parsing.
Enumerations are read as int32, maps as lists of entries: on the wire they are the same.
"""

import re

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "fulgurite.wire"

MESSAGES = """
message Record {
  oneof content {
    HistoryRecord history = 2;
    SummaryRecord summary = 3;
    OutputRecord output = 4;
    ConfigRecord config = 5;
    FilesRecord files = 6;
    StatsRecord stats = 7;
    ArtifactRecord artifact = 8;
    Unread tbrecord = 9;
    AlertRecord alert = 10;
    Unread telemetry = 11;
    MetricRecord metric = 12;
    OutputRecord output_raw = 13;
    RunRecord run = 17;
    RunExitRecord exit = 18;
    Unread final = 20;
    HeaderRecord header = 21;
    Unread footer = 22;
    Unread preempting = 23;
    Unread noop_link_artifact = 24;
    UseArtifactRecord use_artifact = 25;
    EnvironmentRecord environment = 26;
    Unread output_logger = 27;
    Unread request = 100;
  }
}
message Unread {
}
message Timestamp {
  int64 seconds = 1;
  int32 nanos = 2;
}

message HistoryRecord {
  repeated HistoryItem item = 1;
  HistoryStep step = 2;
}
message HistoryStep {
  int64 num = 1;
}
message HistoryItem {
  string key = 1;
  repeated string nested_key = 2;
  oneof value {
    int32 none = 3;
    bool boolean = 4;
    sint64 integer = 5;
    double number = 6;
    string text = 7;
    string json = 8;
  }
  string value_json = 16;
}
message Item {
  string key = 1;
  repeated string nested_key = 2;
  string value_json = 16;
}
message SummaryRecord {
  repeated Item update = 1;
  repeated Item remove = 2;
}
message ConfigRecord {
  repeated Item update = 1;
  repeated Item remove = 2;
}
message StatsRecord {
  Timestamp timestamp = 2;
  repeated StatsItem item = 3;
}
message StatsItem {
  string key = 1;
  string value_json = 16;
}
message MetricRecord {
  string name = 1;
  string glob_name = 2;
  string step_metric = 4;
  MetricOptions options = 6;
  MetricSummary summary = 7;
  int32 goal = 8;
  MetricControl _control = 9;
  bool expanded_from_glob = 10;
}
message MetricOptions {
  bool step_sync = 1;
  bool hidden = 2;
  bool defined = 3;
}
message MetricSummary {
  bool min = 1;
  bool max = 2;
  bool mean = 3;
  bool best = 4;
  bool last = 5;
  bool none = 6;
  bool copy = 7;
  bool first = 8;
}
message MetricControl {
  bool overwrite = 1;
}

message HeaderRecord {
  VersionInfo version_info = 1;
}
message VersionInfo {
  string producer = 1;
}
message RunRecord {
  string run_id = 1;
  string entity = 2;
  string project = 3;
  ConfigRecord config = 4;
  SummaryRecord summary = 5;
  string run_group = 6;
  string job_type = 7;
  string display_name = 8;
  string notes = 9;
  repeated string tags = 10;
  string sweep_id = 12;
  string host = 13;
  int64 starting_step = 14;
  Timestamp start_time = 17;
  bool resumed = 18;
  RunTelemetry telemetry = 19;
  int32 runtime = 20;
  GitRepoRecord git = 21;
  bool forked = 22;
  BranchPoint branch_point = 23;
  bool resume = 24;
}
message RunTelemetry {
  string python_version = 4;
  string cli_version = 5;
}
message GitRepoRecord {
  string remote_url = 1;
  string commit = 2;
}
message BranchPoint {
  string run = 1;
  double value = 2;
  string metric = 3;
}
message RunExitRecord {
  int32 exit_code = 1;
  int32 runtime = 2;
  bool not_complete = 3;
}

message OutputRecord {
  int32 output_type = 1;
  Timestamp timestamp = 2;
  string line = 3;
}
message AlertRecord {
  string title = 1;
  string text = 2;
  string level = 3;
  int64 wait_duration = 4;
}
message FilesRecord {
  repeated FilesItem files = 1;
}
message FilesItem {
  string path = 1;
  int32 policy = 2;
  int32 type = 3;
}
message ArtifactRecord {
  string run_id = 1;
  string project = 2;
  string entity = 3;
  string type = 4;
  string name = 5;
  string digest = 6;
  string description = 7;
  string metadata = 8;
  bool user_created = 9;
  bool use_after_commit = 10;
  repeated string aliases = 11;
  ArtifactManifest manifest = 12;
  string distributed_id = 13;
  bool finalize = 14;
  string client_id = 15;
  string sequence_client_id = 16;
  string base_id = 17;
  int64 ttl_duration_seconds = 18;
  repeated string tags = 19;
  string digest_algorithm = 20;
  bool incremental_beta1 = 100;
}
message ArtifactManifest {
  int32 version = 1;
  string storage_policy = 2;
  repeated Setting storage_policy_config = 3;
  repeated ArtifactManifestEntry contents = 4;
  string manifest_file_path = 5;
}
message ArtifactManifestEntry {
  string path = 1;
  string digest = 2;
  string ref = 3;
  int64 size = 4;
  string local_path = 6;
  string birth_artifact_id = 7;
  bool skip_cache = 8;
  repeated Setting extra = 16;
}
message Setting {
  string key = 1;
  string value_json = 2;
}
message UseArtifactRecord {
  string id = 1;
  string type = 2;
  string name = 3;
}

message EnvironmentRecord {
  string os = 1;
  string python = 2;
  Timestamp started_at = 3;
  string docker = 4;
  repeated string args = 5;
  string program = 6;
  string code_path = 7;
  string code_path_local = 8;
  GitRepoRecord git = 9;
  string email = 10;
  string root = 11;
  string host = 12;
  string username = 13;
  string executable = 14;
  string colab = 15;
  uint32 cpu_count = 16;
  uint32 cpu_count_logical = 17;
  string gpu_type = 18;
  uint32 gpu_count = 19;
  repeated DiskEntry disk = 20;
  MemoryInfo memory = 21;
  CpuInfo cpu = 22;
  AppleInfo apple = 23;
  repeated GpuNvidiaInfo gpu_nvidia = 24;
  string cuda_version = 25;
  repeated GpuAmdInfo gpu_amd = 26;
  repeated SlurmEntry slurm = 27;
  TrainiumInfo trainium = 28;
  TPUInfo tpu = 29;
  string writer_id = 199;
}
message DiskEntry {
  string key = 1;
  DiskInfo value = 2;
}
message DiskInfo {
  uint64 total = 1;
  uint64 used = 2;
}
message MemoryInfo {
  uint64 total = 1;
}
message CpuInfo {
  uint32 count = 1;
  uint32 count_logical = 2;
  string model = 3;
}
message AppleInfo {
  string name = 1;
  uint32 ecpu_cores = 2;
  uint32 pcpu_cores = 3;
  uint32 gpu_cores = 4;
  uint32 memory_gb = 5;
  uint64 swap_total_bytes = 6;
  uint64 ram_total_bytes = 7;
  string mac_model = 8;
}
message GpuNvidiaInfo {
  string name = 1;
  uint64 memory_total = 2;
  uint32 cuda_cores = 3;
  string architecture = 4;
  string uuid = 5;
  string pci_bus_id = 6;
}
message GpuAmdInfo {
  string id = 1;
  string unique_id = 2;
  string vbios_version = 3;
  string performance_level = 4;
  string gpu_overdrive = 5;
  string gpu_memory_overdrive = 6;
  string max_power = 7;
  string series = 8;
  string model = 9;
  string vendor = 10;
  string sku = 11;
  string sclk_range = 12;
  string mclk_range = 13;
}
message SlurmEntry {
  string key = 1;
  string value = 2;
}
message TrainiumInfo {
  string name = 1;
  string vendor = 2;
  uint32 neuron_device_count = 3;
  uint32 neuroncore_per_device_count = 4;
}
message TPUInfo {
  string name = 1;
  uint32 hbm_gib = 2;
  uint32 devices_per_chip = 3;
  uint32 count = 4;
}
"""

LINE = re.compile(
    r"(?P<block>message|oneof) (?P<title>\w+) \{|(?P<many>repeated )?(?P<type>\w+) (?P<name>\w+) = (?P<number>\d+);|\}"
)


def _file() -> FileDescriptorProto:
    """``MESSAGES`` as the runtime wants it; of the language of .proto files it takes only what is used above."""
    file = FileDescriptorProto(name="fulgurite/wire.proto", package=PACKAGE, syntax="proto3")
    alternative = False
    for text in filter(None, map(str.strip, MESSAGES.splitlines())):
        line = LINE.fullmatch(text)
        assert line, f"not understood: {text}"
        if line["block"] == "message":
            file.message_type.add(name=line["title"])
        elif line["block"] == "oneof":
            file.message_type[-1].oneof_decl.add(name=line["title"])
            alternative = True
        elif line["type"]:
            _add_field(file.message_type[-1], line, alternative)
        else:
            alternative = False
    return file


def _add_field(message: DescriptorProto, line: re.Match[str], alternative: bool) -> None:
    field = message.field.add(name=line["name"], number=int(line["number"]))
    field.label = FieldDescriptorProto.LABEL_REPEATED if line["many"] else FieldDescriptorProto.LABEL_OPTIONAL
    if line["type"][0].isupper():
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{line['type']}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{line['type'].upper()}")
    if alternative:
        field.oneof_index = 0


# A pool of our own: in the common one, the same file in two versions of this package would clash.
_POOL = DescriptorPool()
_POOL.AddSerializedFile(_file().SerializeToString())

Record: type[Message] = GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.Record"))
