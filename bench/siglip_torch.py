"""SigLIP's vision tower as a plain PyTorch module, and what the scripts here share.

The attention of the layers is eager: PyTorch 1.13 has no fused one to be called. Names are those of transformers, so that checkpoints fit as they are.
"""
import json
import platform
import resource
import struct
import sys

import numpy
import torch
from torch import nn

DTYPES = {"F32": numpy.float32, "F16": numpy.float16}


def read_safetensors(path):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
    data = numpy.memmap(path, mode="r", offset=8 + length)
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = data[begin:end].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
            tensors[name] = torch.from_numpy(values.astype(numpy.float32))
    return tensors


class Embeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, patch = config["hidden_size"], config["patch_size"]
        self.patch_embedding = nn.Conv2d(config["num_channels"], hidden, kernel_size=patch, stride=patch)
        self.position_embedding = nn.Embedding((config["image_size"] // patch) ** 2, hidden)

    def forward(self, pixel_values):
        return self.patch_embedding(pixel_values).flatten(2).transpose(1, 2) + self.position_embedding.weight


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(hidden, hidden) for _ in range(4))

    def forward(self, x):
        batch, patches, hidden = x.shape
        query, key, value = (
            projection(x).view(batch, patches, self.heads, hidden // self.heads).transpose(1, 2) for projection in (self.q_proj, self.k_proj, self.v_proj))
        weights = (query @ key.transpose(2, 3) * (hidden // self.heads) ** -0.5).softmax(-1)
        return self.out_proj((weights @ value).transpose(1, 2).reshape(batch, patches, hidden))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc1 = nn.Linear(config["hidden_size"], config["intermediate_size"])
        self.fc2 = nn.Linear(config["intermediate_size"], config["hidden_size"])

    def forward(self, x):
        return self.fc2(nn.functional.gelu(self.fc1(x), approximate="tanh"))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self_attn = Attention(config)
        self.layer_norm1 = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])
        self.mlp = MLP(config)
        self.layer_norm2 = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class PoolingHead(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden = config["hidden_size"]
        self.probe = nn.Parameter(torch.zeros(1, 1, hidden))
        self.attention = nn.MultiheadAttention(hidden, config["num_attention_heads"], batch_first=True)
        self.layernorm = nn.LayerNorm(hidden, eps=config["layer_norm_eps"])
        self.mlp = MLP(config)

    def forward(self, x):
        pooled = self.attention(self.probe.repeat(x.shape[0], 1, 1), x, x, need_weights=False)[0]
        return (pooled + self.mlp(self.layernorm(pooled)))[:, 0]


class VisionTransformer(nn.Module):
    """Gives the patches' embeddings; the caller applies the head, if the model has one."""

    def __init__(self, config):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.post_layernorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])
        if config["vision_use_head"]:
            self.head = PoolingHead(config)

    def forward(self, pixel_values):
        return self.post_layernorm(self.encoder(self.embeddings(pixel_values)))


def versions():
    blas = next((line.split()[-1] for line in open("/proc/self/maps") if "libblas" in line), "none") if sys.platform == "linux" else "unknown"
    return dict(python=platform.python_version(), torch=torch.__version__, blas=blas, threads=torch.get_num_threads())


def memory():
    """MB resident, and their peak. On Linux not getrusage's, which counts the process that started this one."""
    if sys.platform == "linux":
        with open("/proc/self/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return dict(resident_mb=int(fields["VmRSS"].split()[0]) * 1.024e-3, peak_mb=int(fields["VmHWM"].split()[0]) * 1.024e-3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return dict(resident_mb=peak, peak_mb=peak)


def answer(**values):
    print(json.dumps(values | memory()), flush=True)
