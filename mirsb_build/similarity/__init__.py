"""How alike texts and images are: stems, shingles, sentence embeddings, perceptual hashes, Hamming distances."""
