"""What NVIDIA's own compiler makes of each kernel, without a GPU: registers, spills, shared memory,
occupancy and loops, compared with the figures in `nvrtc.tsv`.

`isa --msl` translates the kernels to MSL. This script turns MSL into CUDA with `metal.cuh`, which
stands in for Metal's library, and compiles it with NVRTC. NVIDIA's Vulkan driver has the same back
end after another front end, so its figures are near these, but not the same.

    pip install nvidia-cuda-nvrtc nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm
    cargo run --release -p isa -- --msl DIR
    python benches/isa/nvrtc.py DIR
    python benches/isa/nvrtc.py DIR --kernel forward_sparse --sass SASS_DIR
    python benches/isa/nvrtc.py DIR --record

It prints a line per kernel, lines for what fails, and at last `184 rows, 0 failed`. Exit status: 0;
1 if a kernel spills more, needs more stack or fits fewer warps than recorded, or does not compile;
2 if the packages or the files are missing.
"""

import argparse
import concurrent.futures
import ctypes
import glob
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BASELINE = HERE / "nvrtc.tsv"
HEADER = (HERE / "metal.cuh").read_text()
PACKAGES = "pip install nvidia-cuda-nvrtc nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm"

# Of a multiprocessor: threads, workgroups, KiB of shared memory, bytes that each workgroup takes
# beside its own. From the tables of the CUDA programming guide.
CHIPS = {
    "sm_75": (1024, 16, 64, 0),
    "sm_80": (2048, 32, 164, 1024),
    "sm_86": (1536, 16, 100, 1024),
    "sm_89": (1536, 24, 100, 1024),
    "sm_90": (2048, 32, 228, 1024),
    "sm_100": (2048, 32, 228, 1024),
    "sm_120": (1536, 24, 100, 1024),
}

COLUMNS = ["arch", "kernel", "class", "invocations", "registers", "spilled", "stack",
           "shared", "instructions", "workgroups", "warps", "most", "limit", "loops"]

# The expression for each built-in value that the kernels use.
BUILTINS = {
    "threadgroup_position_in_grid": "{blockIdx.x, blockIdx.y, blockIdx.z}",
    "threadgroups_per_grid": "{gridDim.x, gridDim.y, gridDim.z}",
    "thread_index_in_threadgroup": "{threadIdx.x}",
}


class Missing(Exception):
    """Something that the caller has to install or to name."""


def cuda(text):
    """The CUDA source of a kernel in naga's MSL, and its invocations per workgroup."""
    typedefs = re.findall(r"^typedef ([\w:]+) (\w+)\[1\];", text, re.M)
    elements = {name: element for element, name in typedefs}
    text = re.sub(r"^(#include .*|using metal::uint;|typedef [\w:]+ \w+\[1\];)$", "", text,
                  flags=re.M)
    text = re.sub(r"^constant ([\w:]+) (\w+) =", r"constexpr \1 \2 =", text, flags=re.M)
    # Without a suffix, a literal is a double in CUDA and a float in Metal.
    text = re.sub(r"(?<![\w.])(\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)(?![\w.])", r"\1f", text)
    text = re.sub(r"(?<![:\w])(uint2|float2|half2)\b", r"metal::\1", text)
    text = re.sub(r"\.([xyzw]{2,4})\b", r".\1()", text)

    # A binding is a pointer, so that the compiler knows which memory no invocation writes.
    def pointer(found):
        if found[1] not in elements:
            raise RuntimeError(f"expected a buffer of one array, found `{found[0]}`")
        element, name = elements[found[1]], found[3]
        return f"const {element}* __restrict__ {name}" if found[2] else f"{element}* {name}"

    text = re.sub(r"device (\w+)( const)?& (\w+)", pointer, text)
    start = r"^\[\[max_total_threads_per_threadgroup\((\d+)\)\]\] kernel void main_\("
    parts = re.split(start, text, maxsplit=1, flags=re.M)
    if len(parts) != 3 or ") {\n" not in parts[2]:
        raise RuntimeError("expected an entry point `main_` with a size, found none")
    head, threads = parts[0], int(parts[1])
    parameters, body = parts[2].split(") {\n", 1)
    arguments, locals_ = [], []
    for line in parameters.splitlines():
        line = line.strip().removeprefix(", ")
        attribute = re.search(r" \[\[(\w+)", line)
        line = re.sub(r" \[\[.*\]\]", "", line)
        if attribute and attribute[1] in BUILTINS:
            locals_.append(f"    {line} = {BUILTINS[attribute[1]]};")
        elif found := re.fullmatch(r"threadgroup (\w+)& (\w+)", line):
            locals_.append(f"    __shared__ {found[1]} {found[2]};")
        elif found := re.fullmatch(r"constant (\w+)& (\w+)", line):
            arguments.append(f"const __grid_constant__ {found[1]} {found[2]}")
        elif line:
            arguments.append(line)
    bounds = f"__launch_bounds__({threads})"
    signature = f'extern "C" __global__ void {bounds} main_({", ".join(arguments)}) {{'
    return "\n".join([HEADER, head, signature, *locals_, body]), threads


def packages():
    """The folder of NVIDIA's packages."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations) if spec else []
    for folder in folders:
        libraries = glob.glob(f"{folder}/*/lib/libnvrtc.so.*")
        if libraries:
            root = Path(libraries[0]).parents[1]
            if (root / "bin/cuobjdump").exists() and (root / "bin/nvdisasm").exists():
                return root, libraries[0]
    raise Missing(f"no NVRTC, cuobjdump and nvdisasm in this Python; {PACKAGES}")


def library():
    """NVRTC and its version."""
    nvrtc = ctypes.CDLL(packages()[1])
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return nvrtc, f"NVRTC {major.value}.{minor.value}"


def compiled(source, arch):
    """The machine code of a CUDA source, and what the assembler says of it."""
    nvrtc, _ = library()
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    options = [f"--gpu-architecture={arch}", "--device-as-default-execution-space",
               "--prec-div=false", "--prec-sqrt=false", "--ftz=true", "-w", "--ptxas-options=-v"]
    array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    failed = nvrtc.nvrtcCompileProgram(program, len(options), array)

    def read(kind):
        size = ctypes.c_size_t()
        getattr(nvrtc, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        getattr(nvrtc, f"nvrtcGet{kind}")(program, buffer)
        return buffer.raw

    log = read("ProgramLog").decode().strip("\0\n")
    if failed:
        raise RuntimeError(log)
    return read("CUBIN"), log


def instructions(sass):
    """Address, name and operands of each instruction, without the padding at the end."""
    line = r"^\s+/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);"
    code = [(int(at, 16), name, rest) for at, name, rest in re.findall(line, sass, re.M)]
    code = [one for one in code if one[1] != "NOP"]
    # The program ends in a branch to itself.
    ends = lambda one: one[1] == "BRA" and int(re.search(r"0x([0-9a-f]+)", one[2])[1], 16) == one[0]
    return [one for one in code if not ends(one)]


def loops(code):
    """The number of instructions of each innermost loop that reads memory. A loop is what lies
    between an instruction and the last branch back to it."""
    last = {}
    for at, name, rest in code:
        target = re.search(r"0x([0-9a-f]+)", rest)
        if name.startswith("BRA") and target and int(target[1], 16) < at:
            last[int(target[1], 16)] = at
    spans = sorted(last.items())
    inner = [(a, b) for a, b in spans
             if not any((c, d) != (a, b) and a <= c and d <= b for c, d in spans)]
    bodies = [[name for at, name, _ in code if a <= at <= b] for a, b in inner]
    reads = ("LDG", "LDS", "LDL", "LD.")
    return [len(body) for body in bodies if any(name.startswith(reads) for name in body)]


def occupancy(arch, threads, registers, shared):
    """Workgroups and warps that a multiprocessor holds, the most warps for workgroups of this size,
    and what limits them."""
    most_threads, most_workgroups, kibibytes, reserved = CHIPS[arch]
    warps = -(-threads // 32)
    # Each of four schedulers has 16,384 registers. A warp takes them by 8 per thread.
    of_registers = 4 * (16384 // (32 * (-(-registers // 8) * 8)))
    most = min(most_threads // 32 // warps, most_workgroups)
    taken = -(-(shared + reserved) // 256) * 256
    limits = [(most, "-"), (of_registers // warps, "registers"),
              (kibibytes * 1024 // taken if taken else most, "shared")]
    workgroups, limit = min(limits, key=lambda one: one[0])
    return workgroups, workgroups * warps, most * warps, limit


def measure(path, arch, sass_folder):
    """The row of a kernel. Raises RuntimeError with the compiler's message."""
    text = path.read_text()
    found = re.match(r"// class: (gpu|software)\n", text)
    if not found:
        raise RuntimeError("expected a first line `// class: …`, as `isa --msl` writes it")
    source, threads = cuda(text)
    code, log = compiled(source, arch)
    root, _ = packages()
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(code)
        path_of_tools = f"{root / 'bin'}:{os.environ.get('PATH', '')}"
        sass = subprocess.run(
            [root / "bin/cuobjdump", "--dump-sass", cubin], capture_output=True, text=True,
            check=True, env={**os.environ, "PATH": path_of_tools}).stdout
    if sass_folder:
        (Path(sass_folder) / f"{arch}.{path.stem}.sass").write_text(sass)

    def used(what):
        found = re.search(rf"(\d+) {what}\b", log)
        return int(found[1]) if found else 0

    registers = re.search(r"Used (\d+) registers", log)
    if not registers:
        raise RuntimeError(f"expected a number of registers, found: {log}")
    registers, shared = int(registers[1]), used("bytes smem")
    workgroups, warps, most, limit = occupancy(arch, threads, registers, shared)
    code = instructions(sass)
    row = [arch, path.stem, found[1], threads, registers, used("bytes spill stores"),
           used("bytes stack frame"), shared, len(code), workgroups, warps, most, limit,
           "+".join(map(str, loops(code))) or "-"]
    return dict(zip(COLUMNS, map(str, row), strict=True))


def read_baseline():
    """The compiler and the rows, by chip and kernel, of the recorded figures."""
    if not BASELINE.exists():
        return "nothing", {}
    first, header, *lines = BASELINE.read_text().splitlines()
    if not first.startswith("# compiler: ") or header.split("\t") != COLUMNS:
        raise Missing(f"{BASELINE}: expected a compiler and the columns {', '.join(COLUMNS)}")
    rows = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]
    return first.removeprefix("# compiler: "), {(row["arch"], row["kernel"]): row for row in rows}


def compare(row, old, same_compiler):
    """Whether a row fails, and what differs."""
    if old is None:
        return True, "not in the baseline; add it with --record"
    fails = any(int(row[name]) > int(old[name]) for name in ("spilled", "stack"))
    if not same_compiler:
        note = f"warps not comparable, recorded {old['warps']}"
        return fails and row["class"] == "gpu", note if row["warps"] != old["warps"] else ""
    fails = fails or int(row["warps"]) < int(old["warps"])
    names = ["spilled", "stack", "warps", "registers", "shared", "instructions", "loops"]
    changes = [f"{name} {old[name]} → {row[name]}" for name in names if row[name] != old[name]]
    return fails and row["class"] == "gpu", ", ".join(changes)


def shown(row, note):
    """A line of the table."""
    counts = row["loops"].split("+")
    counts = "+".join(counts[:4]) + ("+…" if len(counts) > 4 else "")
    warps = f"{row['warps']} of {row['most']}"
    return (f"{row['kernel']:<42} {row['invocations']:>7} {row['registers']:>9} "
            f"{row['spilled']:>7} {row['stack']:>5} {row['shared']:>6} {row['instructions']:>6} "
            f"{row['workgroups']:>10} {warps:>9} {row['limit']:<9}  {counts:<17}  {note}").rstrip()


def run():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where `isa --msl` wrote its files")
    parser.add_argument("--arch", choices=CHIPS, default="sm_90", help="the chip [sm_90]")
    parser.add_argument("--kernel", default="", help="only kernels with this part in their names")
    parser.add_argument("--record", action="store_true", help="write the figures to nvrtc.tsv")
    parser.add_argument("--sass", help="write the instructions to this folder")
    options = parser.parse_args()
    if options.record and (options.kernel or options.arch != "sm_90"):
        parser.error("--record is of all kernels and of sm_90")
    paths = [path for path in sorted(options.folder.glob("*.metal")) if options.kernel in path.stem]
    if not paths:
        name = f"*{options.kernel}*.metal" if options.kernel else "*.metal"
        raise Missing(f"{options.folder}: no {name}; write them with isa --msl")
    if options.sass:
        os.makedirs(options.sass, exist_ok=True)
    compiler = library()[1]

    rows, failures = [], []
    with concurrent.futures.ProcessPoolExecutor() as pool:
        tasks = [(path.stem, pool.submit(measure, path, options.arch, options.sass))
                 for path in paths]
        for name, task in tasks:
            try:
                rows.append(task.result())
            except (RuntimeError, subprocess.CalledProcessError) as error:
                failures.append(f"{name}: {error}")
    if options.record and not failures:
        lines = ["\t".join(row[column] for column in COLUMNS) for row in rows]
        text = "\n".join([f"# compiler: {compiler}", "\t".join(COLUMNS), *lines, ""])
        new = BASELINE.with_name(".nvrtc.tsv.new")
        new.write_text(text)
        new.replace(BASELINE)

    recorded, baseline = read_baseline()
    is_recorded = any(arch == options.arch for arch, _ in baseline)
    print(f"{options.arch}, {compiler}")
    names = {column: column for column in COLUMNS}
    print(shown(names | {"invocations": "threads", "instructions": "instr"}, "note"))
    for row in rows:
        old = baseline.get((options.arch, row["kernel"]))
        fails, note = compare(row, old, compiler == recorded) if is_recorded else (False, "")
        print(shown(row, f"FAILS: {note}" if fails else note))
        if fails:
            failures.append(f"{row['kernel']}: {note}")
    if not options.kernel:
        gone = {kernel for arch, kernel in baseline if arch == options.arch}
        gone -= {path.stem for path in paths}
        failures += [f"{name}: in the baseline only; write it anew" for name in sorted(gone)]
    print()
    if not is_recorded:
        print(f"The baseline has no figures of {options.arch}: nothing is compared.")
    elif compiler != recorded:
        print(f"The baseline is of {recorded}. Only spills and stacks are compared: warps, "
              "registers and instructions of another compiler are not comparable.")
    for failure in failures:
        print(failure)
    print(f"{len(rows)} rows, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(run())
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
