"""How the embedded networks were made: `python -m stlib.training slim` and `painter`. Nothing else imports it."""
