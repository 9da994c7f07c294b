"""Pictures drawn by diffusion models, one worker process a device.

    backend.py    specs in, pictures out: batches by shape, next seeds for unusable pictures, what is recorded
    process.py    a worker as the backend sees it: started, sent batches, read, ended
    worker.py     the program that runs in the worker process
    pipeline.py   a diffusers pipeline: loaded once, prompts fitted, batches halved when memory runs out
    messages.py   what the two processes tell each other
    options.py    what a profile lets choose
    loading.py    from a folder or a Hub to a pipeline on its device; what its errors mean
    folders.py    models in folders, known by what is in them
    examining.py  what doctor says

Only worker.py, pipeline.py and loading.py import torch, so that a plan or a status needs none of it.
"""
