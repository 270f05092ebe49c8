"""Commands that measure: photo sets with known cameras, synthetic rooms, ingredients, speed."""
