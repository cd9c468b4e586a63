// The part of Metal's standard library that naga's MSL of the kernels uses, for CUDA. nvrtc.py puts
// it in front of each kernel and compiles every function for the device.

typedef unsigned int uint;

// Address spaces of Metal. nvrtc.py makes pointers of references to `device`.
#define thread
#define threadgroup
#define constant const
#define INLINE __forceinline__ __device__

namespace metal {
using ::uint;

template <typename T> struct vec4;

// Two 16-bit floats in a word.
struct half2;

template <typename T> struct alignas(2 * sizeof(T)) vec2 {
    T x, y;
    vec2() = default;
    INLINE vec2(T a) : x(a), y(a) {}
    INLINE vec2(T a, T b) : x(a), y(b) {}
    INLINE explicit vec2(half2 both);
    INLINE T operator[](uint i) const { return i == 0 ? x : y; }
    INLINE vec4<T> xxyy() const { return vec4<T>(x, x, y, y); }
};

template <typename T> struct vec3 {
    T x, y, z;
};

template <typename T> struct alignas(4 * sizeof(T)) vec4 {
    T x, y, z, w;
    vec4() = default;
    INLINE vec4(T a) : x(a), y(a), z(a), w(a) {}
    INLINE vec4(T a, T b, T c, T d) : x(a), y(b), z(c), w(d) {}
    INLINE vec4(vec2<T> a, vec2<T> b) : x(a.x), y(a.y), z(b.x), w(b.y) {}
    INLINE T operator[](uint i) const { return i == 0 ? x : i == 1 ? y : i == 2 ? z : w; }
    INLINE T& operator[](uint i) { return (&x)[i]; }
    INLINE vec4<T> xxyy() const { return vec4<T>(x, x, y, y); }
    INLINE vec2<T> xy() const { return vec2<T>(x, y); }
    INLINE vec2<T> zw() const { return vec2<T>(z, w); }
    INLINE vec4<T> yxwz() const { return vec4<T>(y, x, w, z); }
};

typedef vec2<bool> bool2;
typedef vec4<bool> bool4;
typedef vec2<uint> uint2;
typedef vec3<uint> uint3;
typedef vec4<uint> uint4;
typedef vec2<float> float2;
typedef vec4<float> float4;

struct half2 {
    uint bits;
    half2() = default;
    INLINE explicit half2(float2 v) {
        asm("{ .reg .f16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h}; }"
            : "=r"(bits) : "f"(v.x), "f"(v.y));
    }
};

template <> INLINE vec2<float>::vec2(half2 both) {
    asm("{ .reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h; }"
        : "=f"(x), "=f"(y) : "r"(both.bits));
}

// An operator on vectors, and on a vector and a scalar, whose result has elements of type R.
#define BETWEEN(op, R) \
    template <typename T> INLINE vec2<R> operator op(vec2<T> a, vec2<T> b) { \
        return vec2<R>(a.x op b.x, a.y op b.y); \
    } \
    template <typename T> INLINE vec2<R> operator op(vec2<T> a, T b) { return a op vec2<T>(b); } \
    template <typename T> INLINE vec2<R> operator op(T a, vec2<T> b) { return vec2<T>(a) op b; } \
    template <typename T> INLINE vec4<R> operator op(vec4<T> a, vec4<T> b) { \
        return vec4<R>(a.x op b.x, a.y op b.y, a.z op b.z, a.w op b.w); \
    } \
    template <typename T> INLINE vec4<R> operator op(vec4<T> a, T b) { return a op vec4<T>(b); } \
    template <typename T> INLINE vec4<R> operator op(T a, vec4<T> b) { return vec4<T>(a) op b; }
BETWEEN(+, T) BETWEEN(-, T) BETWEEN(*, T) BETWEEN(/, T)
BETWEEN(&, T) BETWEEN(|, T) BETWEEN(^, T) BETWEEN(<<, T) BETWEEN(>>, T)
BETWEEN(==, bool) BETWEEN(!=, bool)
BETWEEN(<, bool) BETWEEN(<=, bool) BETWEEN(>, bool) BETWEEN(>=, bool)

template <typename T> INLINE vec2<T> operator-(vec2<T> a) { return vec2<T>(-a.x, -a.y); }
template <typename T> INLINE vec4<T> operator-(vec4<T> a) {
    return vec4<T>(-a.x, -a.y, -a.z, -a.w);
}
template <typename T> INLINE void operator-=(vec2<T>& a, vec2<T> b) { a = a - b; }

INLINE bool all(bool2 a) { return a.x && a.y; }
INLINE bool all(bool4 a) { return a.x && a.y && a.z && a.w; }
INLINE bool any(bool2 a) { return a.x || a.y; }
INLINE bool any(bool4 a) { return a.x || a.y || a.z || a.w; }

template <typename T> INLINE T select(T a, T b, bool c) { return c ? b : a; }
template <typename T> INLINE vec2<T> select(vec2<T> a, vec2<T> b, bool2 c) {
    return vec2<T>(c.x ? b.x : a.x, c.y ? b.y : a.y);
}
template <typename T> INLINE vec4<T> select(vec4<T> a, vec4<T> b, bool4 c) {
    return vec4<T>(c.x ? b.x : a.x, c.y ? b.y : a.y, c.z ? b.z : a.z, c.w ? b.w : a.w);
}

// Functions of floats have the instructions that Vulkan's accuracy allows.
INLINE uint min(uint a, uint b) { return a < b ? a : b; }
INLINE uint max(uint a, uint b) { return a > b ? a : b; }
INLINE float min(float a, float b) { return fminf(a, b); }
INLINE float max(float a, float b) { return fmaxf(a, b); }
INLINE float abs(float a) { return fabsf(a); }
INLINE float floor(float a) { return floorf(a); }
INLINE float rint(float a) { return rintf(a); }
INLINE float sqrt(float a) { return sqrtf(a); }
INLINE float rsqrt(float a) { return rsqrtf(a); }
INLINE float exp(float a) { return __expf(a); }
INLINE float log(float a) { return __logf(a); }
INLINE float pow(float a, float b) { return __powf(a, b); }
INLINE float fma(float a, float b, float c) { return fmaf(a, b, c); }
INLINE float sign(float a) { return a > 0.0f ? 1.0f : a < 0.0f ? -1.0f : 0.0f; }
INLINE float clamp(float a, float low, float high) { return fminf(fmaxf(a, low), high); }

// The same element by element.
#define EACH(f) \
    INLINE float2 f(float2 a) { return float2(f(a.x), f(a.y)); } \
    INLINE float4 f(float4 a) { return float4(f(a.x), f(a.y), f(a.z), f(a.w)); }
EACH(abs) EACH(floor) EACH(rint) EACH(sqrt) EACH(rsqrt) EACH(exp) EACH(log) EACH(sign)
#define EACH_OF_TWO(f) \
    template <typename T> INLINE vec2<T> f(vec2<T> a, vec2<T> b) { \
        return vec2<T>(f(a.x, b.x), f(a.y, b.y)); \
    } \
    template <typename T> INLINE vec4<T> f(vec4<T> a, vec4<T> b) { \
        return vec4<T>(f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)); \
    }
EACH_OF_TWO(min) EACH_OF_TWO(max)
template <typename V> INLINE V clamp(V a, V low, V high) { return min(max(a, low), high); }
INLINE float4 fma(float4 a, float4 b, float4 c) {
    return float4(fmaf(a.x, b.x, c.x), fmaf(a.y, b.y, c.y), fmaf(a.z, b.z, c.z),
                  fmaf(a.w, b.w, c.w));
}
INLINE float dot(float2 a, float2 b) { return a.x * b.x + a.y * b.y; }
INLINE float dot(float4 a, float4 b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

// Functions of bits, and atomic words of device memory.
INLINE uint popcount(uint a) { return __popc(a); }
INLINE uint ctz(uint a) { return a == 0 ? 32 : __ffs(a) - 1; }
typedef uint atomic_uint;
enum memory_order { memory_order_relaxed };
INLINE uint atomic_fetch_or_explicit(uint* to, uint a, memory_order) { return atomicOr(to, a); }
INLINE uint atomic_fetch_add_explicit(uint* to, uint a, memory_order) { return atomicAdd(to, a); }

enum class mem_flags { mem_none, mem_device, mem_threadgroup };
INLINE void threadgroup_barrier(mem_flags) { __syncthreads(); }
}  // namespace metal

template <typename T, typename U> INLINE T as_type(U from) {
    static_assert(sizeof(T) == sizeof(U), "the sizes differ");
    T to;
    memcpy(&to, &from, sizeof(to));
    return to;
}
