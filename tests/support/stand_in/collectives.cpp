// The collectives of a stand-in device: gloo's, on the same bytes.
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/reducer_timer.hpp>
#include <torch/csrc/utils/pybind.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>

namespace {

using at::Tensor;
using Tensors = std::vector<Tensor>;
using Lists = std::vector<Tensors>;
using c10d::Work;
template <class T> using Ref = c10::intrusive_ptr<T>;

Tensor host(const Tensor& t) {
  TORCH_CHECK(t.is_cuda(), "No backend type associated with device type ", t.device().type(), ": NCCL takes CUDA tensors");
  TORCH_CHECK(t.is_contiguous() || t.is_non_overlapping_and_dense(), "Tensors must be contiguous");
  static auto op = c10::Dispatcher::singleton().findSchemaOrThrow("stand_in::host", "").typed<Tensor(const Tensor&)>();
  at::AutoDispatchBelowADInplaceOrView guard;
  return op.call(t);
}
Tensors host(const Tensors& all) {
  Tensors made;
  for (auto& t : all) made.push_back(host(t));
  return made;
}
Lists host(const Lists& all) {
  Lists made;
  for (auto& t : all) made.push_back(host(t));
  return made;
}

struct Done final : Work {
  Ref<c10::ivalue::Future> future;
  Done(int rank, c10d::OpType type, const Tensors& results) : Work(rank, type) {
    std::vector<c10::Device> devices;
    for (auto& t : results)
      if (std::find(devices.begin(), devices.end(), t.device()) == devices.end()) devices.push_back(t.device());
    future = c10::make_intrusive<c10::ivalue::Future>(c10::ListType::create(c10::TensorType::get()), devices);
    future->markCompleted(c10::IValue(results));
    finish();
  }
  bool wait(std::chrono::milliseconds) override { return true; }
  Ref<c10::ivalue::Future> getFuture() override { return future; }
};

struct Nccl final : c10d::Backend {
  Ref<c10d::Backend> gloo;
  std::atomic<uint64_t> sequence{0};
  explicit Nccl(Ref<c10d::Backend> inner) : Backend(inner->getRank(), inner->getSize()), gloo(std::move(inner)) {}

  Ref<Work> done(Ref<Work> work, const Tensors& results, c10d::OpType type = c10d::OpType::UNKNOWN) {
    ++sequence;
    {
      pybind11::gil_scoped_release* release = PyGILState_Check() ? new pybind11::gil_scoped_release : nullptr;
      try { work->wait(); } catch (...) { delete release; throw; }
      delete release;
    }
    return c10::make_intrusive<Done>(getRank(), type, results);
  }
  const std::string getBackendName() const override { return "nccl"; }
  bool supportsCoalescing() const override { return false; }
  void setSequenceNumberForGroup() override {}
  uint64_t getSequenceNumberForGroup() override { return sequence; }
  void setTimeout(std::chrono::milliseconds t) override { gloo->setTimeout(t); }
  void abort() override { gloo->abort(); }
  void shutdown() override { gloo->shutdown(); }

  // Gloo has no mean.
  template <class O> bool mean(O& opts) {
    bool is = opts.reduceOp == c10d::ReduceOp::AVG;
    if (is) opts.reduceOp = c10d::ReduceOp::SUM;
    return is;
  }
  void share(const Tensors& results) {
    at::AutoDispatchBelowADInplaceOrView guard;
    for (auto& t : results) host(t).div_(getSize());
  }

  Ref<Work> broadcast(Tensors& t, const c10d::BroadcastOptions& o) override {
    auto h = host(t);
    return done(gloo->broadcast(h, o), t);
  }
  Ref<Work> allreduce(Tensors& t, const c10d::AllreduceOptions& given) override {
    auto o = given;
    bool divide = mean(o);
    auto h = host(t);
    auto work = done(gloo->allreduce(h, o), t, c10d::OpType::ALLREDUCE);
    if (divide) share(t);
    return work;
  }
  Ref<Work> allreduce_coalesced(Tensors& t, const c10d::AllreduceCoalescedOptions& given) override {
    for (auto& each : t) {
      Tensors one{each};
      c10d::AllreduceOptions o;
      o.reduceOp = given.reduceOp;
      o.timeout = given.timeout;
      allreduce(one, o);
    }
    return c10::make_intrusive<Done>(getRank(), c10d::OpType::ALLREDUCE, t);
  }
  Ref<Work> reduce(Tensors& t, const c10d::ReduceOptions& given) override {
    auto o = given;
    bool divide = mean(o);
    auto h = host(t);
    auto work = done(gloo->reduce(h, o), t);
    if (divide && getRank() == o.rootRank) share(t);
    return work;
  }
  Ref<Work> allgather(Lists& out, Tensors& in, const c10d::AllgatherOptions& o) override {
    auto ho = host(out);
    auto hi = host(in);
    return done(gloo->allgather(ho, hi, o), out[0]);
  }
  Ref<Work> _allgather_base(Tensor& out, Tensor& in, const c10d::AllgatherOptions& o) override {
    // NCCL looks at the bytes alone, gloo at the shapes.
    auto ho = host(out).view(-1), hi = host(in).view(-1);
    return done(gloo->_allgather_base(ho, hi, o), {out});
  }
  Ref<Work> allgather_into_tensor_coalesced(Tensors& out, Tensors& in, const c10d::AllgatherOptions& o) override {
    auto ho = host(out), hi = host(in);
    return done(gloo->allgather_into_tensor_coalesced(ho, hi, o), out);
  }
  Ref<Work> gather(Lists& out, Tensors& in, const c10d::GatherOptions& o) override {
    auto ho = host(out);
    auto hi = host(in);
    return done(gloo->gather(ho, hi, o), out.empty() ? in : out[0]);
  }
  Ref<Work> scatter(Tensors& out, Lists& in, const c10d::ScatterOptions& o) override {
    auto ho = host(out);
    auto hi = host(in);
    return done(gloo->scatter(ho, hi, o), out);
  }
  Ref<Work> reduce_scatter(Tensors& out, Lists& in, const c10d::ReduceScatterOptions& given) override {
    auto o = given;
    bool divide = mean(o);
    auto ho = host(out);
    auto hi = host(in);
    auto work = done(gloo->reduce_scatter(ho, hi, o), out);
    if (divide) share(out);
    return work;
  }
  Ref<Work> _reduce_scatter_base(Tensor& out, Tensor& in, const c10d::ReduceScatterOptions& given) override {
    auto o = given;
    bool divide = mean(o);
    auto ho = host(out).view(-1), hi = host(in).view(-1);
    auto work = done(gloo->_reduce_scatter_base(ho, hi, o), {out});
    if (divide) share({out});
    return work;
  }
  Ref<Work> reduce_scatter_tensor_coalesced(Tensors& out, Tensors& in, const c10d::ReduceScatterOptions& given) override {
    auto o = given;
    bool divide = mean(o);
    auto ho = host(out), hi = host(in);
    auto work = done(gloo->reduce_scatter_tensor_coalesced(ho, hi, o), out);
    if (divide) share(out);
    return work;
  }
  Ref<Work> alltoall_base(Tensor& out, Tensor& in, std::vector<int64_t>& os, std::vector<int64_t>& is, const c10d::AllToAllOptions& o) override {
    auto ho = host(out), hi = host(in);
    return done(gloo->alltoall_base(ho, hi, os, is, o), {out});
  }
  Ref<Work> send(Tensors& t, int to, int tag) override { auto h = host(t); return gloo->send(h, to, tag); }
  Ref<Work> recv(Tensors& t, int from, int tag) override { auto h = host(t); return gloo->recv(h, from, tag); }
  Ref<Work> barrier(const c10d::BarrierOptions& o) override { return done(gloo->barrier(o), {}); }
};

}  // namespace

namespace c10d {
namespace {
class ClockTimer final : public c10d::Timer {
 public:
  explicit ClockTimer(c10::Device) {}
  std::optional<int64_t> measureDifference(Event start, Event end) override {
    auto from = getTimeRef(start), to = getTimeRef(end);
    if (from == c10d::kUnsetTime || to == c10d::kUnsetTime || to < from) return std::nullopt;
    return to - from;
  }
};
C10_REGISTER_TYPED_CLASS(TimerRegistry, c10::kCUDA, ClockTimer);

}  // namespace
}  // namespace c10d

PYBIND11_MODULE(stand_in_collectives, m) {
  pybind11::module::import("torch.distributed");
  pybind11::class_<Nccl, c10::intrusive_ptr<Nccl>, c10d::Backend>(m, "Nccl")
      .def(pybind11::init([](Ref<c10d::Backend> inner) { return c10::make_intrusive<Nccl>(std::move(inner)); }));
}
