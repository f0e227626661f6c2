"""Fills a pool: draws by decodings over models, journalled so that nothing received is lost or paid twice."""
