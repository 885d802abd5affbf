"""Codecs: payloads and results compressed, encrypted and signed before they are stored."""
