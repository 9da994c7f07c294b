"""Text and image models behind any OpenAI-compatible endpoint."""
