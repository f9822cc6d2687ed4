"""A registry in memory that says what MLflow's would: aliases, tags, versions; and can be down."""

from __future__ import annotations

import collections

from samovar.autoserve.plan import Key
from samovar.errors import NotFound, RegistryUnavailable
from samovar.registry.client import Model, Version


class FakeRegistry:
    """Aliases are set in ``now``; every version exists unless it is in ``deleted``."""

    def __init__(self):
        self.now = {}
        self.tags = collections.defaultdict(dict)
        self.born = {}
        self.deleted = set()
        self.down = False
        self.calls = collections.Counter()

    def __call__(self):
        return self

    def _count(self, name):
        self.calls[name] += 1
        if self.down:
            raise RegistryUnavailable("MLflow cannot be reached.")

    def models(self):
        self._count("models")
        models = {}
        for key, version in self.now.items():
            self.born.setdefault(key.model, key.model)
            models.setdefault(key.model, {})[key.alias] = version
        return [Model(name, aliases, max(aliases.values()), tags=dict(self.tags[name])) for name, aliases in models.items()]

    def model(self, name):
        self._count("model")
        if name not in self.born:
            raise NotFound("There is no such model.")
        return Model(name, {key.alias: version for key, version in self.now.items() if key.model == name}, 9)

    def version(self, model, version):
        self._count("version")
        if model not in self.born or (model, version) in self.deleted:
            raise NotFound("There is no such version.")
        return Version(model, version, run_id=f"run of {self.born[model]}", source=f"{self.born[model]}/{version}")

    def set_model_tag(self, model, key, value):
        self._count("set_model_tag")
        self.tags[model][key] = value

    def delete_model_tag(self, model, key):
        self._count("delete_model_tag")
        self.tags[model].pop(key, None)

    def current(self, key):
        return self.now.get(key)

    # --- what people do with it

    def delete_version(self, model, version):
        """As MLflow does: the aliases that point to it go with it."""
        self.deleted.add((model, version))
        self.now = {key: at for key, at in self.now.items() if (key.model, at) != (model, version)}

    def delete_model(self, model):
        del self.born[model]
        self.now = {key: at for key, at in self.now.items() if key.model != model}

    def rename(self, model, to):
        self.born[to] = self.born.pop(model)
        self.now = {Key(to if key.model == model else key.model, key.alias): at for key, at in self.now.items()}
        self.tags[to] = self.tags.pop(model, {})
