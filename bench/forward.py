"""Runs SigLIP's vision tower in PyTorch, and times a forward pass.

forward.py FOLDER BATCH    FOLDER has config.json, model.safetensors and pixel_values.bin (float32, at least BATCH images)
Each line on stdin asks for a pass; the answer is a line on stdout with its milliseconds, and with the pooled embeddings if the line has "outputs".
"""
import base64
import json
import sys
import time

import numpy
import torch
from torch import nn

from siglip_torch import VisionTransformer, answer, read_safetensors, versions


class VisionModel(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.vision_model = VisionTransformer(config)

    def forward(self, pixel_values):
        return self.vision_model.head(self.vision_model(pixel_values))


folder, batch = sys.argv[1], int(sys.argv[2])
with open(f"{folder}/config.json") as file:
    config = json.load(file)
model = VisionModel(config).eval()
model.load_state_dict(read_safetensors(f"{folder}/model.safetensors"))  # strict: the same parameters, by name and shape
shape = batch, config["num_channels"], config["image_size"], config["image_size"]
pixel_values = torch.from_numpy(numpy.fromfile(f"{folder}/pixel_values.bin", numpy.float32, numpy.prod(shape)).reshape(shape))
answer(**versions())
with torch.inference_mode():
    for line in sys.stdin:
        start = time.perf_counter()
        pooled = model(pixel_values).numpy()
        milliseconds = (time.perf_counter() - start) * 1000
        outputs = dict(pooled=base64.b64encode(pooled.tobytes()).decode()) if "outputs" in json.loads(line) else {}
        answer(milliseconds=milliseconds, **outputs)
