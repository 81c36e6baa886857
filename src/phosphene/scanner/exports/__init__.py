"""A scan in the forms that auditors file: SARIF, CycloneDX, in-toto."""
