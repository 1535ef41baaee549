"""Bridges to other programs, installed as ``kgdyn.integrations``; kgdyn never imports them."""
