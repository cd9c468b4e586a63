// A Vulkan layer that lets one function of the driver fail from its n-th call on. The variable
// WGRAD_FAULT names both: "vkQueueSubmit:12". Functions return the error that drivers return there.
//
// The structures are those of the interface between the Vulkan loader and its layers (vk_layer.h).
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*GetProcAddr)(void *, const char *);

struct InstanceLink {
    struct InstanceLink *next;
    GetProcAddr get_instance, get_physical_device;
};
struct DeviceLink {
    struct DeviceLink *next;
    GetProcAddr get_instance, get_device;
};
// Of both kinds: what the loader adds to the list of a call that creates an instance or a device.
struct Chained {
    int type;
    struct Chained *next;
    int function;
    void *link;
};
struct CreateInfo {
    int type;
    struct Chained *next;
};
struct Negotiation {
    int type;
    void *next;
    uint32_t version;
    GetProcAddr get_instance, get_device, get_physical_device;
};

enum { INSTANCE_INFO = 47, DEVICE_INFO = 48, LINK = 0 };
enum { SUCCESS = 0, FAILED = -3, OUT_OF_DEVICE_MEMORY = -2, DEVICE_LOST = -4 };

static GetProcAddr next_instance, next_device;
static void *instance_now;

static int fails(const char *name) {
    static int calls;
    const char *fault = getenv("WGRAD_FAULT");
    const char *colon = fault ? strchr(fault, ':') : NULL;
    if (!colon || strlen(name) != (size_t)(colon - fault) || strncmp(fault, name, strlen(name)))
        return 0;
    return __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) >= atoi(colon + 1);
}

#define FAULT(name, error, parameters, arguments)                 \
    static int (*next_##name) parameters;                         \
    static int name parameters {                                  \
        return fails(#name) ? error : next_##name arguments;      \
    }

FAULT(vkQueueSubmit, DEVICE_LOST, (void *q, uint32_t n, const void *s, uint64_t f), (q, n, s, f))
FAULT(vkWaitSemaphores, DEVICE_LOST, (void *d, const void *i, uint64_t t), (d, i, t))
FAULT(vkWaitSemaphoresKHR, DEVICE_LOST, (void *d, const void *i, uint64_t t), (d, i, t))
FAULT(vkWaitForFences, DEVICE_LOST,
      (void *d, uint32_t n, const void *f, uint32_t all, uint64_t t), (d, n, f, all, t))
FAULT(vkAllocateMemory, OUT_OF_DEVICE_MEMORY,
      (void *d, const void *i, const void *a, void *m), (d, i, a, m))
FAULT(vkCreateBuffer, OUT_OF_DEVICE_MEMORY,
      (void *d, const void *i, const void *a, void *b), (d, i, a, b))
FAULT(vkCreateComputePipelines, FAILED,
      (void *d, uint64_t c, uint32_t n, const void *i, const void *a, void *p), (d, c, n, i, a, p))

static struct Chained *chained(struct CreateInfo *info, int type) {
    struct Chained *one = info->next;
    while (one && !(one->type == type && one->function == LINK))
        one = one->next;
    return one;
}

static int create_instance(struct CreateInfo *info, const void *allocator, void **instance) {
    struct Chained *own = chained(info, INSTANCE_INFO);
    struct InstanceLink *link = own->link;
    next_instance = link->get_instance;
    own->link = link->next;
    int (*create)(const void *, const void *, void **) = (void *)next_instance(NULL, "vkCreateInstance");
    int result = create(info, allocator, instance);
    instance_now = *instance;
    return result;
}

static int create_device(void *physical, struct CreateInfo *info, const void *allocator, void **device) {
    struct Chained *own = chained(info, DEVICE_INFO);
    struct DeviceLink *link = own->link;
    next_device = link->get_device;
    own->link = link->next;
    int (*create)(void *, const void *, const void *, void **) =
        (void *)link->get_instance(instance_now, "vkCreateDevice");
    return create(physical, info, allocator, device);
}

static Function get_device(void *device, const char *name) {
#define TAKE(function)                                            \
    if (!strcmp(name, #function)) {                               \
        next_##function = (void *)next_device(device, name);      \
        return next_##function ? (Function)function : NULL;       \
    }
    TAKE(vkQueueSubmit)
    TAKE(vkWaitSemaphores)
    TAKE(vkWaitSemaphoresKHR)
    TAKE(vkWaitForFences)
    TAKE(vkAllocateMemory)
    TAKE(vkCreateBuffer)
    TAKE(vkCreateComputePipelines)
    if (!strcmp(name, "vkGetDeviceProcAddr"))
        return (Function)get_device;
    return next_device(device, name);
}

static Function get_instance(void *instance, const char *name) {
    if (!strcmp(name, "vkCreateInstance"))
        return (Function)create_instance;
    if (!strcmp(name, "vkCreateDevice"))
        return (Function)create_device;
    if (!strcmp(name, "vkGetDeviceProcAddr"))
        return (Function)get_device;
    if (!strcmp(name, "vkGetInstanceProcAddr"))
        return (Function)get_instance;
    return next_instance ? next_instance(instance, name) : NULL;
}

int vkNegotiateLoaderLayerInterfaceVersion(struct Negotiation *negotiation) {
    if (negotiation->version > 2)
        negotiation->version = 2;
    negotiation->get_instance = get_instance;
    negotiation->get_device = get_device;
    negotiation->get_physical_device = NULL;
    return SUCCESS;
}
