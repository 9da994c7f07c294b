"""Pictures drawn by diffusion models, one worker process a device.

    backend.py       specs in, pictures out: batches by shape, next seeds for unusable pictures, what is recorded
    process.py       a worker as the backend uses it: start, send batches, read answers, end
    worker.py        the program that runs in the worker process
    pipeline.py      a diffusers pipeline: loaded once, prompts fitted, batches halved when memory runs out
    messages.py      the messages between the two processes
    options.py       what a profile lets choose
    loading.py       from a folder or a Hub to a pipeline on its device; what its errors mean
    folders.py       models in folders, identified by what is in them
    requirements.py  what the backend needs, for doctor

Only worker.py, pipeline.py and loading.py import torch, so that a plan or a status needs none of it.
"""
