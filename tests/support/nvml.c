/* NVIDIA's management library for a machine that has no GPU: two of them, one of which can't tell its use or power.
   Types and numbers are those of the reference manual of NVML. It is built as libnvidia-ml.so.1. */
#include <stdio.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3 };
struct memory { unsigned long long total, free, used; };
struct utilization { unsigned int gpu, memory; };

static char gpus[2];

static int number(void *handle) { return (int)((char *)handle - gpus); }

int nvmlInitWithFlags(unsigned int flags) { return SUCCESS; }
int nvmlShutdown(void) {
  fputs("NVML was shut down\n", stderr);
  return SUCCESS;
}
const char *nvmlErrorString(int result) { return result == NOT_SUPPORTED ? "Not Supported" : "Invalid Argument"; }
int nvmlDeviceGetCount_v2(unsigned int *count) {
  *count = 2;
  return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) {
  if (index > 1) return INVALID_ARGUMENT;
  *handle = &gpus[index];
  return SUCCESS;
}
int nvmlDeviceGetName(void *handle, char *name, unsigned int length) {
  snprintf(name, length, "NVIDIA Stand-in %d", number(handle));
  return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(void *handle, struct memory *found) {
  found->total = 80ull << 30;
  found->used = (20ull << 30) * (number(handle) + 1);
  found->free = found->total - found->used;
  return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *found) {
  if (number(handle)) return NOT_SUPPORTED;
  found->gpu = 97;
  found->memory = 41;
  return SUCCESS;
}
int nvmlDeviceGetTemperature(void *handle, unsigned int sensor, unsigned int *degrees) {
  if (sensor) return INVALID_ARGUMENT;
  *degrees = 60 + number(handle);
  return SUCCESS;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned int *milliwatts) {
  if (number(handle)) return NOT_SUPPORTED;
  *milliwatts = 350500;
  return SUCCESS;
}
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned int *milliwatts) {
  *milliwatts = 701000;
  return SUCCESS;
}
