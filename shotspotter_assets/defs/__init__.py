"""The Dagster side: one file per asset, named as the asset, with its checks; what starts runs; and the resources.

An asset is a plain function over the domain code, which its file's `definitions` decorates.
"""
