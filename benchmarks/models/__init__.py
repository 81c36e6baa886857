"""Every source of models against every family: a map through each, from networks that are trained here."""
