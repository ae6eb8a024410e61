"""Trains SigLIP's vision tower with a classifier on the mean patch embedding in PyTorch, and times one step: forward, backward, gradient norm, AdamW.

train_step.py FOLDER THREADS    FOLDER has config.json, model.safetensors and batch.safetensors
Each line on stdin asks for a step; the answer is a line on stdout with its milliseconds, its loss and the peak of the resident memory in MB.

The model is transformers' SiglipForImageClassification without the pooling head, with eager attention: PyTorch 1.13 has no fused one to be called.
"""
import json
import platform
import resource
import struct
import sys
import time

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


class VisionTransformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.post_layernorm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])

    def forward(self, pixel_values):
        return self.post_layernorm(self.encoder(self.embeddings(pixel_values)))


class ImageClassification(nn.Module):
    def __init__(self, config, labels):
        super().__init__()
        self.vision_model = VisionTransformer(config)
        self.classifier = nn.Linear(config["hidden_size"], labels)

    def forward(self, pixel_values):
        return self.classifier(self.vision_model(pixel_values).mean(1))


def answer(**values):
    print(json.dumps(values), flush=True)


folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
with open(f"{folder}/config.json") as file:
    config = json.load(file)
model = ImageClassification(config["vision_config"], len(config["id2label"]))
model.load_state_dict(read_safetensors(f"{folder}/model.safetensors"))  # strict: the same parameters, by name and shape
batch = read_safetensors(f"{folder}/batch.safetensors")
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
blas = next((line.split()[-1] for line in open("/proc/self/maps") if "libblas" in line), "none")
answer(python=platform.python_version(), torch=torch.__version__, blas=blas, threads=torch.get_num_threads())
for _ in sys.stdin:
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(model(batch["pixel_values"]), batch["targets"])
    value = loss.item()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    milliseconds = (time.perf_counter() - start) * 1000
    answer(milliseconds=milliseconds, loss=value, peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
