"""Pictures drawn by diffusion models, one worker process a device.

    backend.py    specs in, pictures out: batches by shape, next seeds for unusable pictures, what is recorded
    process.py    a worker as the backend sees it: started, sent batches, read, ended
    worker.py     the program that runs in the worker process
    pipeline.py   a diffusers pipeline: loaded once, prompts fitted, batches halved when memory runs out
    messages.py   what the two processes tell each other
    options.py    what a profile lets choose

Only worker.py and pipeline.py import torch, so that a plan or a status needs none of it.
"""
