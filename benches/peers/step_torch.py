"""PyTorch's side of `step.py`: the training step of the two-perspective network."""

import math
import time

import torch


class Torch:
    """Steps of one network on one batch; called with seconds, it answers with its positions a second."""

    warms = True

    def __init__(self, name, shape, device, textbook=False, compiled=False, head=None):
        torch.manual_seed(1)
        self.name, self.shape, self.step_seconds = name, shape, None
        self.wait = torch.cuda.synchronize if device == "cuda" else lambda: None
        networks = 1 if shape.tied else 2
        k, last = shape.hidden, networks - 1
        with torch.device(device):
            if shape.dense:
                layers = [torch.nn.Linear(shape.inputs, k) for _ in range(networks)]
                x = [torch.rand(shape.batch, shape.inputs) for _ in range(2)]
                biases = []
            else:
                layers = [torch.nn.EmbeddingBag(shape.inputs, k, mode="sum") for _ in range(networks)]
                kind = torch.int64 if textbook else torch.int32
                x = [random_lists(shape).to(kind) for _ in range(2)]
                offsets = torch.arange(0, shape.batch * shape.indices, shape.indices, dtype=kind)
                biases = [torch.nn.Parameter(torch.full((k,), 0.1)) for _ in range(networks)]
                for layer in layers:
                    torch.nn.init.normal_(layer.weight, 0.0, 128**-0.5)
            c = torch.nn.Parameter(torch.randn(2 * k) * (2 * k) ** -0.5)
            d = torch.nn.Parameter(torch.zeros(1))
            target = torch.rand(shape.batch)

        def accumulator(p):
            layer = layers[min(p, last)]
            return layer(x[p]) if shape.dense else layer(x[p], offsets) + biases[min(p, last)]

        def activation(z):
            if shape.activation == "relu":
                return torch.relu(z)
            h = z.clamp(0.0, 1.0)
            return h.square() if shape.activation == "screlu" else h

        def loss():
            z = [accumulator(p) for p in range(2)]
            if head:
                h = [activation(one) for one in z]
                y = head(torch.cat([one[:, : k // 2] * one[:, k // 2 :] for one in h], dim=1))
            elif textbook:
                y = activation(torch.cat(z, dim=1)) @ c + d
            else:
                y = activation(z[0]) @ c[:k] + activation(z[1]) @ c[k:] + d
            return (torch.sigmoid(y) - target).square().mean()

        self.parameters = [*(p for layer in layers for p in layer.parameters()), *biases]
        self.parameters += head.parameters() if head else [c, d]
        self.optimizer = adamw(self.parameters) if shape.optimizer == "adamw" else None
        self.loss = torch.compile(loss, dynamic=False) if compiled else loss

    def step(self):
        for parameter in self.parameters:
            parameter.grad = None
        self.loss().backward()
        if self.optimizer:
            self.optimizer.step()

    def timed(self, steps):
        self.wait()
        start = time.perf_counter()
        for _ in range(steps):
            self.step()
        self.wait()  # once: waiting after every step would show the time to launch kernels
        return (time.perf_counter() - start) / steps

    def __call__(self, seconds):
        if self.step_seconds is None:
            self.timed(3)
            self.step_seconds = self.timed(1)
        self.step_seconds = self.timed(max(1, math.ceil(seconds / self.step_seconds)))
        return self.shape.batch / self.step_seconds


class HeadOfAll(torch.nn.Module):
    """inputs -> 16 crelu -> 32 crelu -> 1 for 8 buckets at random. Each layer computes all buckets and keeps one."""

    name = "PyTorch, each layer for every bucket"
    widths = (16, 32, 1)

    def __init__(self, inputs, batch, buckets=8):
        super().__init__()
        sizes = zip((inputs, *self.widths), self.widths)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(n, buckets * width) for n, width in sizes)
        self.bucket = torch.randint(buckets, (batch,)).sort().values  # nothing keeps a trainer from sorting
        self.bounds = torch.searchsorted(self.bucket, torch.arange(buckets + 1)).tolist()

    def forward(self, x):
        rows = torch.arange(len(x))
        for number, layer in enumerate(self.layers):
            x = layer(x).view(len(x), -1, self.widths[number])[rows, self.bucket]
            x = x.clamp(0.0, 1.0) if number < len(self.layers) - 1 else x[:, 0]
        return x


class HeadByBucket(HeadOfAll):
    """The same, with the samples of a bucket together."""

    name = "PyTorch, a bucket after the other"

    def forward(self, x):
        outputs = []
        for bucket, (first, end) in enumerate(zip(self.bounds, self.bounds[1:])):
            h = x[first:end]
            for number, layer in enumerate(self.layers):
                width = self.widths[number]
                rows = slice(bucket * width, (bucket + 1) * width)
                h = torch.nn.functional.linear(h, layer.weight[rows], layer.bias[rows])
                h = h.clamp(0.0, 1.0) if number < len(self.layers) - 1 else h[:, 0]
            outputs.append(h)
        return torch.cat(outputs)


def random_lists(shape):
    """The features of all samples, one list after the other, on torch's present device."""
    rows = [min(4096, shape.batch - begin) for begin in range(0, shape.batch, 4096)]
    return torch.cat([torch.rand(n, shape.inputs).topk(shape.indices, dim=1).indices.reshape(-1) for n in rows])


def adamw(parameters):
    try:
        return torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    except RuntimeError:
        return torch.optim.AdamW(parameters, lr=1e-3, foreach=True)
