"""The engines, one module each; `samovar.scoring.engine.open_engine` imports them by name."""
