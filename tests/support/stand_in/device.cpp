// A CUDA device whose memory is the host's, and whose kernels are the CPU's on the same bytes. `__init__.py` says why.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/detail/MPSHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>

namespace {

using at::Tensor;
using c10::Device;
using c10::DeviceIndex;
using c10::DispatchKey;
using c10::DispatchKeySet;

#ifdef APPLE
// An Apple computer has one, and no numbers of 64 bits with a point.
#define DEVICE MPS
constexpr bool HAS_DOUBLE = false;
#else
#define DEVICE CUDA
constexpr bool HAS_DOUBLE = true;
#endif
constexpr auto KIND = c10::DeviceType::DEVICE;
constexpr auto KEY = DispatchKey::DEVICE;

bool is_here(const Tensor& t) { return t.device().type() == KIND; }

void check_type(at::ScalarType type) {
  TORCH_CHECK_TYPE(HAS_DOUBLE || (type != at::kDouble && type != at::kComplexDouble),
                   "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. "
                   "Please use float32 instead.");
}

int devices() {
  static const int count = [] {
    const char* text = std::getenv("STAND_IN_DEVICES");
    return text ? std::atoi(text) : 1;
  }();
  return count;
}

thread_local DeviceIndex current = 0;
thread_local std::array<c10::StreamId, 64> streams{};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  Guard(c10::DeviceType = KIND) {}
  c10::DeviceType type() const override { return KIND; }
  Device getDevice() const override { return {KIND, current}; }
  Device exchangeDevice(Device d) const override {
    Device before = getDevice();
    setDevice(d);
    return before;
  }
  void setDevice(Device d) const override {
    TORCH_CHECK(d.index() >= 0 && d.index() < devices(), "CUDA error: invalid device ordinal");
    current = d.index();
  }
  void uncheckedSetDevice(Device d) const noexcept override { current = d.index(); }
  c10::Stream getStream(Device d) const noexcept override {
    return c10::Stream(c10::Stream::UNSAFE, d, streams[d.index() < 0 ? current : d.index()]);
  }
  c10::Stream getDefaultStream(Device d) const override { return c10::Stream(c10::Stream::UNSAFE, d, 0); }
  c10::Stream getStreamFromGlobalPool(Device d, bool) const override { return c10::Stream(c10::Stream::UNSAFE, d, 1); }
  c10::Stream getNewStream(Device d, int) const override { return c10::Stream(c10::Stream::UNSAFE, d, 1); }
  c10::Stream exchangeStream(c10::Stream s) const noexcept override {
    auto before = getStream(s.device());
    streams[s.device_index()] = s.id();
    return before;
  }
  DeviceIndex deviceCount() const noexcept override { return static_cast<DeviceIndex>(devices()); }
  void record(void**, const c10::Stream&, const DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const DeviceIndex) const noexcept override {}
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const DeviceIndex) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
};
static c10::impl::DeviceGuardImplRegistrar guard(KIND, new Guard());

void free_host(void* memory) { std::free(memory); }

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    TORCH_CHECK_WITH(OutOfMemoryError, bytes < (size_t{1} << 40),
                     "CUDA out of memory. Tried to allocate ", bytes >> 30, " GiB.");
    void* memory = bytes ? std::malloc(bytes) : nullptr;
    return {memory, memory, &free_host, Device(KIND, current)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_host; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};
Memory memory;

// Pinned host memory is noted, so that is_pinned() tells it.
std::mutex pins;
std::map<void*, size_t> pinned;
void unpin(void* at) {
  std::lock_guard<std::mutex> lock(pins);
  pinned.erase(at);
  std::free(at);
}
struct Pinned final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* at = std::malloc(bytes ? bytes : 1);
    std::lock_guard<std::mutex> lock(pins);
    pinned[at] = bytes;
    return {at, at, &unpin, Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &unpin; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};
Pinned pinned_memory;
bool is_pinned(const void* at) {
  std::lock_guard<std::mutex> lock(pins);
  auto next = pinned.upper_bound(const_cast<void*>(at));
  if (next == pinned.begin()) return false;
  --next;
  return static_cast<const char*>(at) < static_cast<char*>(next->first) + next->second;
}

// Random numbers of a device come from its own generator, as on a GPU.
at::Generator& generator(DeviceIndex index) {
  static std::vector<at::Generator> all = [] {
    std::vector<at::Generator> made;
    for (int i = 0; i < devices(); ++i) made.push_back(at::detail::createCPUGenerator(67280421310721));
    return made;
  }();
  return all[index < 0 ? current : index];
}

template <class Interface>
struct Hooks : Interface {
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return static_cast<DeviceIndex>(devices()); }
  void setCurrentDevice(DeviceIndex d) const override { current = d; }
  DeviceIndex getCurrentDevice() const override { return current; }
  DeviceIndex exchangeDevice(DeviceIndex d) const override { std::swap(current, d); return d; }
  DeviceIndex maybeExchangeDevice(DeviceIndex d) const override { std::swap(current, d); return d; }
  bool isPinnedPtr(const void* at) const override { return is_pinned(at); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &pinned_memory; }
  Device getDeviceFromPtr(void*) const override { return {KIND, current}; }
  const at::Generator& getDefaultGenerator(DeviceIndex i) const override { return generator(i); }
  at::Generator getNewGenerator(DeviceIndex) const override { return at::detail::createCPUGenerator(); }
};
struct CudaHooks final : Hooks<at::CUDAHooksInterface> {
  bool hasCUDA() const override { return true; }
  int getNumGPUs() const override { return devices(); }
  DeviceIndex current_device() const override { return current; }
  c10::Allocator* getCUDADeviceAllocator() const override { return &memory; }
  void deviceSynchronize(DeviceIndex) const override {}
};
struct MpsHooks final : Hooks<at::MPSHooksInterface> {
  bool hasMPS() const override { return true; }
  bool isOnMacOSorNewer(unsigned, unsigned) const override { return true; }
  c10::Allocator* getMPSDeviceAllocator() const override { return &memory; }
  void deviceSynchronize() const override {}
  void emptyCache() const override {}
};
struct Registers {
  Registers() {
#ifdef APPLE
    at::MPSHooksRegistry()->Register(
        "MPSHooks", +[]() -> std::unique_ptr<at::MPSHooksInterface> { return std::make_unique<MpsHooks>(); }, "",
        c10::REGISTRY_PREFERRED);
#else
    at::CUDAHooksRegistry()->Register(
        "CUDAHooks",
        +[](at::CUDAHooksArgs) -> std::unique_ptr<at::CUDAHooksInterface> { return std::make_unique<CudaHooks>(); }, "",
        c10::REGISTRY_PREFERRED);
#endif
  }
} registers;

// What a host waits for: 0 says nothing, 1 counts, 2 raises as torch.cuda.set_sync_debug_mode("error") does.
std::atomic<int64_t> waits{0};
std::atomic<int64_t> debug_mode{0};
void wait(const char* what) {
  ++waits;
  if (debug_mode == 1) TORCH_WARN("called a synchronizing CUDA operation: ", what);
  TORCH_CHECK(debug_mode != 2, "called a synchronizing CUDA operation: ", what);
}

struct Call {
  struct Seen {
    c10::Storage device, host;
    void* at;
    size_t bytes;
  };
  std::vector<Seen> storages;
  std::vector<std::pair<Tensor, Tensor>> tensors;  // the device's and the host's
  c10::optional<Device> device;
  bool mixed = false;
  const c10::OperatorHandle& op;
  explicit Call(const c10::OperatorHandle& which) : op(which) {}

  c10::Storage host_of(const c10::Storage& storage) {
    for (auto& s : storages)
      if (s.device.unsafeGetStorageImpl() == storage.unsafeGetStorageImpl()) return s.host;
    void* at = storage.unsafeGetStorageImpl()->mutable_data_ptr().get();
    c10::Storage host(c10::Storage::use_byte_size_t{}, storage.nbytes(),
                      c10::DataPtr(at, Device(c10::kCPU)), c10::GetAllocator(c10::kCPU), true);
    storages.push_back({storage, host, at, storage.nbytes()});
    return host;
  }
  static Tensor like(const c10::Storage& storage, DispatchKey key, const Tensor& t) {
    DispatchKeySet keys(key);
    if (t.is_conj()) keys = keys.add(DispatchKey::Conjugate);
    if (t.is_neg()) keys = keys.add(DispatchKey::Negative);
    Tensor made = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), keys, t.dtype());
    made.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides(), t.storage_offset());
    if (t.unsafeGetTensorImpl()->is_wrapped_number()) made.unsafeGetTensorImpl()->set_wrapped_number(true);
    return made;
  }
  Tensor to_host(const Tensor& t) {
    if (!t.defined()) return t;
    if (!is_here(t)) {
      if (t.device().is_cpu() && t.dim() > 0) mixed = true;
      return t;
    }
    TORCH_CHECK(!device || !(device->type() == KIND) || *device == t.device() || t.dim() == 0,
                "Expected all tensors to be on the same device, but found at least two devices, ",
                *device, " and ", t.device(), "! (", op.schema().name(), ")");
    if (!device || t.dim() > 0) device = t.device();
    for (auto& [d, h] : tensors)
      if (d.unsafeGetTensorImpl() == t.unsafeGetTensorImpl()) return h;
    Tensor h = like(host_of(t.storage()), DispatchKey::CPU, t);
    tensors.emplace_back(t, h);
    return h;
  }
  c10::IValue to_host(const c10::IValue& v) {
    if (v.isTensor()) return to_host(v.toTensor());
    if (v.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& t : v.toTensorVector()) list.push_back(to_host(t));
      return list;
    }
    if (v.isOptionalTensorList()) {
      c10::List<c10::optional<Tensor>> list;
      for (const c10::optional<Tensor>& t : v.toOptionalTensorVector())
        list.push_back(t ? c10::optional<Tensor>(to_host(*t)) : c10::nullopt);
      return list;
    }
    if (v.isDevice() && v.toDevice().type() == KIND) {
      Device d = v.toDevice();
      device = Device(KIND, d.has_index() ? d.index() : current);
      return Device(c10::kCPU);
    }
    return v;
  }
  Device target() const { return device ? *device : Device(KIND, current); }

  static c10::DataPtr onto(c10::DataPtr&& from, Device d) {
    void* at = from.get();
    auto* keep = new c10::DataPtr(std::move(from));
    return {at, keep, [](void* p) { delete static_cast<c10::DataPtr*>(p); }, d};
  }
  // What a kernel resized has new bytes or new sizes.
  void take_back() {
    for (auto& s : storages) {
      auto* host = s.host.unsafeGetStorageImpl();
      auto* dev = s.device.unsafeGetStorageImpl();
      if (host->mutable_data_ptr().get() != s.at) {
        dev->set_data_ptr_noswap(onto(std::move(host->_mutable_data_ptr_no_checks()), s.device.device()));
        dev->set_nbytes(host->nbytes());
      }
    }
    for (auto& [d, h] : tensors)
      if (d.sizes() != h.sizes() || d.strides() != h.strides() || d.storage_offset() != h.storage_offset())
        d.unsafeGetTensorImpl()->set_sizes_and_strides(h.sizes(), h.strides(), h.storage_offset());
  }
  Tensor to_device(const Tensor& t) {
    if (!t.defined() || is_here(t)) return t;
    for (auto& [d, h] : tensors)
      if (h.unsafeGetTensorImpl() == t.unsafeGetTensorImpl()) return d;
    for (auto& s : storages)
      if (s.host.unsafeGetStorageImpl() == t.storage().unsafeGetStorageImpl()) return view_of(s.device, t);
    check_type(t.scalar_type());
    auto* keep = new c10::Storage(t.storage());
    c10::DataPtr data(keep->unsafeGetStorageImpl()->mutable_data_ptr().get(), keep,
                      [](void* p) { delete static_cast<c10::Storage*>(p); }, target());
    c10::Storage made(c10::Storage::use_byte_size_t{}, t.storage().nbytes(), std::move(data), &memory, true);
    storages.push_back({made, t.storage(), t.storage().unsafeGetStorageImpl()->mutable_data_ptr().get(), t.storage().nbytes()});
    Tensor result = like(made, KEY, t);
    tensors.emplace_back(result, t);
    return result;
  }
  // A view keeps the keys of what it views, which tell an inference tensor from another.
  Tensor view_of(const c10::Storage& storage, const Tensor& t) {
    DispatchKeySet keys(KEY);
    for (auto& [d, h] : tensors)
      if (d.storage().unsafeGetStorageImpl() == storage.unsafeGetStorageImpl()) { keys = d.key_set(); break; }
    for (auto key : {DispatchKey::Conjugate, DispatchKey::Negative})
      keys = t.key_set().has(key) ? keys.add(key) : keys.remove(key);
    Tensor made = at::detail::make_tensor<c10::TensorImpl>(c10::TensorImpl::VIEW, c10::Storage(storage), keys, t.dtype());
    made.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides(), t.storage_offset());
    return made;
  }
  c10::IValue to_device(const c10::IValue& v) {
    if (v.isTensor()) return to_device(v.toTensor());
    if (v.isTensorList()) {
      c10::List<Tensor> list;
      for (const Tensor& t : v.toTensorVector()) list.push_back(to_device(t));
      return list;
    }
    return v;
  }
};

bool waits_for(const std::string& name) {
  static const std::set<std::string> all{
      "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique2",
      "aten::unique_dim", "aten::unique_consecutive", "aten::is_nonzero", "aten::bincount",
      "aten::repeat_interleave"};
  return all.count(name) > 0;
}
bool takes_both(const std::string& name) {
  static const std::set<std::string> all{
      "aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_", "aten::_unsafe_index",
      "aten::_pack_padded_sequence", "aten::_pack_padded_sequence_backward", "aten::_cudnn_rnn", "aten::set_",
      "aten::_foreach_copy_", "aten::_ctc_loss", "aten::_ctc_loss_backward"};
  return all.count(name) > 0;
}

void run(const c10::OperatorHandle& op, DispatchKeySet, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto number = schema.arguments().size();
  const auto begin = stack->size() - number;
  if (waits_for(schema.name())) wait(schema.name().c_str());
  Call call(op);
  for (size_t i = 0; i < number; ++i) (*stack)[begin + i] = call.to_host((*stack)[begin + i]);
  TORCH_CHECK(!call.mixed || !call.device || takes_both(schema.name()),
              "Expected all tensors to be on the same device, but found at least two devices, ",
              call.target(), " and cpu! (when checking argument in method wrapper_CUDA_", schema.name(), ")");
  for (size_t i = 0; i < number; ++i) {
    auto& value = (*stack)[begin + i];
    const auto& type = *schema.arguments()[i].type();
    bool random = type.str().find("Generator") != std::string::npos;
    if (random && value.isNone()) value = c10::IValue(generator(call.target().index()));
  }
  {
    at::AutoDispatchBelowADInplaceOrView guard;
    op.redispatchBoxed(DispatchKeySet(DispatchKey::CPU), stack);
  }
  call.take_back();
  const auto results = schema.returns().size();
  for (size_t i = stack->size() - results; i < stack->size(); ++i) (*stack)[i] = call.to_device((*stack)[i]);
}

Tensor host(const Tensor& t) {  // the same bytes as a CPU tensor
  if (!is_here(t)) return t;
  c10::Storage storage(c10::Storage::use_byte_size_t{}, t.storage().nbytes(),
                       c10::DataPtr(t.storage().unsafeGetStorageImpl()->mutable_data_ptr().get(),
                                    new c10::Storage(t.storage()),
                                    [](void* p) { delete static_cast<c10::Storage*>(p); }, Device(c10::kCPU)),
                       nullptr, false);
  return Call::like(storage, DispatchKey::CPU, t);
}

Tensor empty(c10::IntArrayRef size, c10::optional<at::ScalarType> dtype, c10::optional<at::Layout> layout,
             c10::optional<Device> device, c10::optional<bool>, c10::optional<at::MemoryFormat> format) {
  TORCH_CHECK(!layout || *layout == at::kStrided, "the stand-in has dense tensors alone");
  c10::OptionalDeviceGuard guard(device);
  check_type(c10::dtype_or_default(dtype));
  return at::detail::empty_generic(size, &memory, DispatchKeySet(KEY),
                                   c10::dtype_or_default(dtype), format);
}
Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, c10::optional<at::ScalarType> dtype,
                     c10::optional<at::Layout>, c10::optional<Device> device, c10::optional<bool>) {
  c10::OptionalDeviceGuard guard(device);
  check_type(c10::dtype_or_default(dtype));
  return at::detail::empty_strided_generic(size, stride, &memory, DispatchKeySet(KEY),
                                           c10::dtype_or_default(dtype));
}
Tensor& copy_(Tensor& self, const Tensor& source, bool non_blocking) {
  bool across = is_here(self) != is_here(source);
  const Tensor& on_host = is_here(self) ? source : self;
  if (across && !(non_blocking && is_pinned(on_host.storage().data()))) wait("copy_");
  at::AutoDispatchBelowADInplaceOrView guard;
  host(self).copy_(host(source));
  return self;
}
at::Tensor& set_storage(Tensor& self, c10::Storage source) {
  int64_t size = static_cast<int64_t>(source.nbytes() / self.dtype().itemsize());
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(source);
  self.unsafeGetTensorImpl()->set_sizes_and_strides(c10::IntArrayRef{size}, c10::IntArrayRef{int64_t{1}}, 0);
  return self;
}
at::Tensor& set_strided(Tensor& self, c10::Storage source, int64_t offset, c10::IntArrayRef size, c10::IntArrayRef stride) {
  self.unsafeGetTensorImpl()->set_storage_keep_dtype(source);
  std::vector<int64_t> dense(size.size());
  int64_t step = 1;
  for (int64_t i = static_cast<int64_t>(size.size()) - 1; i >= 0; --i) { dense[i] = step; step *= std::max<int64_t>(size[i], 1); }
  self.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride.data() ? stride : c10::IntArrayRef(dense), offset);
  return self;
}
at::Tensor& set_tensor(Tensor& self, const Tensor& source) {
  return set_strided(self, source.storage(), source.storage_offset(), source.sizes(), source.strides());
}
at::Tensor& set_nothing(Tensor& self) {
  c10::Storage storage(c10::Storage::use_byte_size_t{}, 0, memory.allocate(0), &memory, true);
  return set_strided(self, storage, 0, {0}, {1});
}
bool pinned_tensor(const Tensor& self, c10::optional<Device>) {
  return self.device().is_cpu() && is_pinned(self.storage().data());
}

// Batch norms over several processes, for which the CPU has no kernels. `x` has channels in its second dimension.
using Maybe = c10::optional<Tensor>;
Tensor along(const Tensor& channels, const Tensor& x) {
  std::vector<int64_t> shape(x.dim(), 1);
  shape[1] = x.size(1);
  return channels.reshape(shape);
}
std::vector<int64_t> others(const Tensor& x) {
  std::vector<int64_t> dims{0};
  for (int64_t i = 2; i < x.dim(); ++i) dims.push_back(i);
  return dims;
}
std::tuple<Tensor, Tensor> norm_stats(const Tensor& x, double eps) {
  auto mean = x.to(at::kFloat).mean(others(x));
  auto var = (x.to(at::kFloat) - along(mean, x)).square().mean(others(x));
  return {mean, (var + eps).rsqrt()};
}
Tensor norm_elemt(const Tensor& x, const Maybe& weight, const Maybe& bias, const Tensor& mean, const Tensor& invstd, double) {
  auto y = (x - along(mean, x)) * along(invstd, x);
  if (weight && weight->defined()) y = y * along(*weight, x);
  if (bias && bias->defined()) y = y + along(*bias, x);
  return y.to(x.scalar_type());
}
std::tuple<Tensor, Tensor> norm_gather(const Tensor&, const Tensor& means, const Tensor& invstds, const Maybe& running_mean,
                                       const Maybe& running_var, double momentum, double eps, const Tensor& counts) {
  auto n = counts.to(means.scalar_type()).reshape({-1, 1});
  auto all = n.sum();
  auto mean = (n * means).sum(0) / all;
  auto squares = (n * (invstds.square().reciprocal() - eps + (means - mean).square())).sum(0);
  if (running_mean && running_mean->defined()) running_mean->mul_(1 - momentum).add_(mean, momentum);
  if (running_var && running_var->defined()) running_var->mul_(1 - momentum).add_(squares / (all - 1), momentum);
  return {mean, (squares / all + eps).rsqrt()};
}
std::tuple<Tensor, Tensor, Tensor, Tensor> norm_backward_reduce(const Tensor& dy, const Tensor& x, const Tensor& mean,
                                                                const Tensor& invstd, const Maybe&, bool, bool, bool) {
  auto sum = dy.sum(others(x));
  auto products = (dy * (x - along(mean, x))).sum(others(x));
  return {sum, products, products * invstd, sum.clone()};
}
Tensor norm_backward_elemt(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& invstd, const Maybe& weight,
                           const Tensor& sum, const Tensor& products, const Tensor& counts) {
  auto n = counts.sum();
  auto dx = dy - along(sum / n, x) - (x - along(mean, x)) * along(invstd.square() * products / n, x);
  dx = dx * along(invstd, x);
  return weight && weight->defined() ? dx * along(*weight, x) : dx;
}

TORCH_LIBRARY_IMPL(_, DEVICE, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run>()); }
TORCH_LIBRARY_IMPL(aten, DEVICE, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("copy_", &copy_);
  m.impl("set_.source_Storage", &set_storage);
  m.impl("set_.source_Storage_storage_offset", &set_strided);
  m.impl("set_.source_Tensor", &set_tensor);
  m.impl("set_", &set_nothing);
  m.impl("batch_norm_stats", &norm_stats);
  m.impl("batch_norm_elemt", &norm_elemt);
  m.impl("batch_norm_gather_stats_with_counts", &norm_gather);
  m.impl("batch_norm_backward_reduce", &norm_backward_reduce);
  m.impl("batch_norm_backward_elemt", &norm_backward_elemt);
}

TORCH_LIBRARY(stand_in, m) {
  m.def("host(Tensor t) -> Tensor");
  m.def("resize(Tensor t, int bytes) -> ()");
  m.def("waits() -> int", [] { return static_cast<int64_t>(waits); });
  m.def("debug_mode(int mode) -> int", [](int64_t mode) {
    int64_t before = debug_mode;
    if (mode >= 0) debug_mode = mode;
    return before;
  });
  m.def("device(int index) -> int", [](int64_t index) {
    int64_t before = current;
    if (index >= 0) Guard().setDevice(Device(KIND, static_cast<DeviceIndex>(index)));
    return before;
  });
  m.def("generator(int index) -> Generator?", [](int64_t i) { return generator(static_cast<DeviceIndex>(i)); });
  m.def("rng_state(int index) -> Tensor", [](int64_t i) { return generator(static_cast<DeviceIndex>(i)).get_state(); });
  m.def("set_rng_state(int index, Tensor state) -> ()", [](int64_t i, const Tensor& state) {
    generator(static_cast<DeviceIndex>(i)).set_state(state);
  });
  m.def("seed(int index, int seed) -> ()", [](int64_t i, int64_t seed) {
    generator(static_cast<DeviceIndex>(i)).set_current_seed(static_cast<uint64_t>(seed));
  });
}
void resize(const Tensor& t, int64_t bytes) {
  auto* storage = t.storage().unsafeGetStorageImpl();
  c10::DataPtr grown = memory.allocate(static_cast<size_t>(bytes));
  std::memcpy(grown.mutable_get(), storage->data(), std::min<size_t>(bytes, storage->nbytes()));
  storage->set_data_ptr_noswap(std::move(grown));
  storage->set_nbytes(static_cast<size_t>(bytes));
}
TORCH_LIBRARY_IMPL(stand_in, DEVICE, m) {
  m.impl("host", &host);
  m.impl("resize", &resize);
}
TORCH_LIBRARY_IMPL(stand_in, CPU, m) { m.impl("host", &host); }

struct Allocates {
  Allocates() { c10::SetAllocator(KIND, &memory, 1); }
} allocates;

}  // namespace
