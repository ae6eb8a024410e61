"""Trains SigLIP's vision tower with a classifier on the mean patch embedding in PyTorch, and times one step: forward, backward, gradient norm, AdamW.

train_step.py FOLDER THREADS    FOLDER has config.json, model.safetensors and batch.safetensors
Each line on stdin asks for a step; the answer is a line on stdout with its milliseconds, its loss and the peak of the resident memory in MB.

The model is transformers' SiglipForImageClassification without the pooling head.
"""
import json
import sys
import time

import torch
from torch import nn

from siglip_torch import VisionTransformer, answer, read_safetensors, versions


class ImageClassification(nn.Module):
    def __init__(self, config, labels):
        super().__init__()
        self.vision_model = VisionTransformer(config)
        self.classifier = nn.Linear(config["hidden_size"], labels)

    def forward(self, pixel_values):
        return self.classifier(self.vision_model(pixel_values).mean(1))


folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
with open(f"{folder}/config.json") as file:
    config = json.load(file)
model = ImageClassification(config["vision_config"], len(config["id2label"]))
model.load_state_dict(read_safetensors(f"{folder}/model.safetensors"))  # strict: the same parameters, by name and shape
batch = read_safetensors(f"{folder}/batch.safetensors")
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
answer(**versions())
for _ in sys.stdin:
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(model(batch["pixel_values"]), batch["targets"])
    value = loss.item()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    milliseconds = (time.perf_counter() - start) * 1000
    answer(milliseconds=milliseconds, loss=value)
