"""Energy and price. What cannot be measured or is not known is null, and says so."""
