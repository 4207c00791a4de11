"""Train a small network on the parity of three bits."""

import csv
import itertools
import os
from pathlib import Path

import torch

models = Path(os.environ.get("MLSNAP_MODEL_DIR", "models"))
torch.manual_seed(1)
bits = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
parity = bits.sum(dim=1) % 2

network = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
with Path("metrics.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["epoch", "loss", "accuracy"])
    for epoch in range(150):
        answer = network(bits).squeeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(answer, parity)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = ((answer > 0) == (parity > 0)).float().mean()
        table.writerow([epoch, loss.item(), right.item()])
torch.save(network.state_dict(), models / "model.pt")
